// `npm run docs:rpc`: writes the generated documentation of the RPC, and the program in the client's.
import { writeFile } from 'node:fs/promises';
import { clientGuide } from './client-guide.ts';
import { generateRpc } from './rpc.ts';

const { files } = await generateRpc();
for (const { file, text } of [...files, await clientGuide()]) await writeFile(file, text);
