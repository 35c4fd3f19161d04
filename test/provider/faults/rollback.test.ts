import { testOperations } from "./test-operations.ts";

testOperations(({ undone }) => undone === true);
