// Loaded before every test file.
import '../node/runtime.ts';
