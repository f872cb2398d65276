// `npm run docs:rpc`: writes the generated documentation of the RPC, and the programs in the client's, the webhooks' and the credentials'.
import { writeFile } from 'node:fs/promises';
import { clientGuide, credentialsGuide, webhookGuide } from './client-guide.ts';
import { generateRpc } from './rpc.ts';

const { files } = await generateRpc();
for (const { file, text } of [...files, await clientGuide(), await webhookGuide(), await credentialsGuide()])
  await writeFile(file, text);
