import { testOperations } from "./test-operations.ts";

testOperations(({ kind }) => kind === "Identity");
