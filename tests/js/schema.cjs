// Holds a file against a JSON schema: node schema.cjs SCHEMA FILE
"use strict";
const fs = require("fs");
const Ajv = require("ajv");

const [schema, file] = process.argv.slice(2).map((path) => JSON.parse(fs.readFileSync(path, "utf8")));
const validate = new Ajv({ strict: false, allErrors: true }).compile(schema);
if (!validate(file)) {
  console.error(JSON.stringify(validate.errors.slice(0, 5), null, 1));
  process.exit(1);
}
console.log("valid");
