import { testOperations } from "../support/faults/page.ts";

testOperations(({ undone }) => undone === true);
