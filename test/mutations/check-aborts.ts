// npm run check:aborts
import { codeUnions } from './code-unions.ts';
import { membersOf, missingOf } from './abort-codes.ts';

const root = process.cwd();
const missing = codeUnions.flatMap((union) => missingOf(root, union));
const print = (line: string): void => void process.stdout.write(`${line}\n`);
for (const line of missing) print(line);
const count = codeUnions.reduce((sum, union) => sum + membersOf(root, union).length, 0);
if (missing.length > 0) process.exitCode = 1;
else print(`${count} codes of ${codeUnions.length} unions are raised, asserted and reviewed`);
