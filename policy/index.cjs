"use strict";
// Pulumi's runner loads packs by require, behind ts-node. By import, Node itself strips the types, as everywhere else in the project.
module.exports = import("./pack.ts");
