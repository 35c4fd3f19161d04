import { testOperations } from "./faults-tests.ts";

testOperations(({ undone }) => undone === true);
