// Looks for secrets in text, however they may have got there: as hex of either byte order, as base64 of either alphabet
// within anything larger, as a decimal number, as a list of bytes, or as they are typed.

export interface Secret {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Found {
  readonly secret: string;
  readonly form: string;
  readonly source: string;
}

/** Shorter ones would be found by chance. */
const leastBytes = 12;

function base64(bytes: Uint8Array, offset: number): string {
  // In a larger whole the first and last characters depend on the neighbours: they are left out.
  const whole = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
  const first = Math.ceil((offset * 8) / 6);
  return whole.slice(first, Math.floor(((offset + bytes.length) * 8) / 6));
}

function numberOf(bytes: Uint8Array): string {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`).toString();
}

/** Every form of a secret. Hex is lower case: what is searched for it is made so too. */
export function formsOf(bytes: Uint8Array): ReadonlyMap<string, string> {
  const reversed = Uint8Array.from(bytes).reverse();
  const list = [...bytes];
  const forms = new Map([
    ['hex', Buffer.from(bytes).toString('hex')],
    ['hex, reversed', Buffer.from(reversed).toString('hex')],
    ['decimal', numberOf(bytes)],
    ['decimal, reversed', numberOf(reversed)],
    ['list', list.join(',')],
    ['spaced list', list.join(', ')],
    ['object', list.map((byte, index) => `"${index}":${byte}`).join(',')],
  ]);
  // As JSON within a text of JSON.
  forms.set('escaped object', list.map((byte, index) => `\\"${index}\\":${byte}`).join(','));
  for (const offset of [0, 1, 2]) {
    const text = base64(bytes, offset);
    forms.set(`base64 at ${offset}`, text);
    forms.set(`base64url at ${offset}`, text.replaceAll('+', '-').replaceAll('/', '_'));
  }
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) forms.set('text', Buffer.from(bytes).toString());
  return forms;
}

/** Secrets that occur in the sources. Throws RangeError for a secret that is too short to be looked for. */
export function findSecrets(
  secrets: readonly Secret[],
  sources: ReadonlyMap<string, string>,
): readonly Found[] {
  const lower = new Map([...sources].map(([source, text]) => [source, text.toLowerCase()]));
  return secrets.flatMap(({ name, bytes }) => {
    if (bytes.length < leastBytes) throw new RangeError(`${name} has ${bytes.length} bytes`);
    return [...formsOf(bytes)].flatMap(([form, text]) => {
      const where = form.startsWith('hex') ? lower : sources;
      return [...where].flatMap(([source, whole]) =>
        whole.includes(text) ? [{ secret: name, form, source }] : [],
      );
    });
  });
}
