// Loaded before every test file.
import '../node/runtime.ts';

/** Milliseconds that what is closing may take once all tests have ended. */
const closingMs = 30_000;

/** Run by mocha around all tests. */
export const mochaHooks = {
  afterAll(): void {
    // A server or timer that a test left open would keep the process for ever: then say what, and fail.
    setTimeout(() => {
      const open = process.getActiveResourcesInfo().join(', ');
      process.stderr.write(`\nthe tests left something open that keeps the process alive: ${open}\n`);
      // Mocha's own listener makes the exit code the number of failures.
      process.once('exit', () => void (process.exitCode = 1));
      process.exit();
    }, closingMs).unref();
  },
};
