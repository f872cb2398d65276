// `npm run docs:rpc`: writes the generated documentation of the RPC, and the programs in the client's and of the credentials.
import { writeFile } from 'node:fs/promises';
import { clientGuide, credentialsGuide } from './client-guide.ts';
import { generateRpc } from './rpc.ts';

const { files } = await generateRpc();
for (const { file, text } of [...files, await clientGuide(), await credentialsGuide()])
  await writeFile(file, text);
