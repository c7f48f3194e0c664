// Holds a file against a JSON schema: node schema.cjs SCHEMA FILE
"use strict";
const fs = require("fs");

const [schema, file] = process.argv.slice(2).map((path) => JSON.parse(fs.readFileSync(path, "utf8")));
const Ajv = require(schema.$schema?.includes("draft-04") ? "ajv-draft-04" : "ajv");
const validate = new Ajv({ strict: false, allErrors: true, logger: false, unicodeRegExp: false }).compile(schema);
if (!validate(file)) {
  console.error(JSON.stringify(validate.errors.slice(0, 5), null, 1));
  process.exit(1);
}
console.log("valid");
