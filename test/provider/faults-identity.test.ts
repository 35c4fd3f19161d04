import { testOperations } from "./faults-tests.ts";

testOperations(({ kind }) => kind === "Identity");
