export { type Holders, InvariantChecker, InvariantViolation } from "./checker.ts";
