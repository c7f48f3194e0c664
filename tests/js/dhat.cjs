// Reads a DHAT file with valgrind's own viewer, and prints what that made of it: node dhat.cjs dh_view.js FILE
"use strict";
const fs = require("fs");
const vm = require("vm");

const [viewer, file] = process.argv.slice(2);
// The viewer draws into a page; building its tree needs of that only the menu of sort metrics.
const context = vm.createContext({ window: {}, document: {}, file: fs.readFileSync(file, "utf8") });
vm.runInContext(fs.readFileSync(viewer, "utf8"), context);
const answer = vm.runInContext(
  `gSelect = { childNodes: gSelectData.map(() => ({})), selectedIndex: 1 };
   gData = JSON.parse(file);
   buildTree();
   JSON.stringify({
     total: gRoot._totalBytes, blocks: gRoot._totalBlocks, end: gRoot._atTEndBytes, endBlocks: gRoot._atTEndBlocks,
     frames: gData.ftbl,
   })`,
  context,
);
console.log(answer);
