// `npm run docs:rpc`: writes the generated documentation of the RPC, and the programs in the client's and the webhooks'.
import { writeFile } from 'node:fs/promises';
import { clientGuide, webhookGuide } from './client-guide.ts';
import { generateRpc } from './rpc.ts';

const { files } = await generateRpc();
for (const { file, text } of [...files, await clientGuide(), await webhookGuide()])
  await writeFile(file, text);
