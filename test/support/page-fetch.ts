// `fetch` as a page of an origin has it: Node's, with what browsers add for other origins (Fetch Standard, "CORS protocol",
// for requests without credentials): the header Origin, preflights, and answers that are kept from the page.

/** Methods and headers for which a browser does not ask first. */
const safeMethods = ['GET', 'HEAD', 'POST'];
const safeTypes = ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'];
const isSafe = (name: string, value: string): boolean =>
  ['accept', 'accept-language', 'content-language'].includes(name) ||
  (name === 'content-type' && safeTypes.includes(value.split(';')[0]!.trim().toLowerCase()));
const safeAnswerHeaders = ['cache-control', 'content-language', 'content-length', 'content-type', 'expires'];

const listOf = (header: string | null): string[] =>
  (header ?? '').split(',').map((part) => part.trim().toLowerCase());

/** What a browser tells a page, which must not learn more. */
const kept = (why: string): TypeError => new TypeError('Failed to fetch', { cause: new Error(why) });

function checkOrigin(response: Response, origin: string): void {
  const allowed = response.headers.get('access-control-allow-origin');
  if (allowed !== '*' && allowed !== origin) throw kept(`access-control-allow-origin is ${allowed}`);
}

/** The `fetch` of a page of `origin`. `preflights` counts the questions it asked before. */
export function pageFetch(origin: string): typeof fetch & { preflights: number } {
  const page = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.origin === origin) return await fetch(url, init);
    const method = init.method ?? 'GET';
    const headers = new Headers(init.headers);
    const unsafe = [...headers].filter(([name, value]) => !isSafe(name, value)).map(([name]) => name);
    if (unsafe.length > 0 || !safeMethods.includes(method)) {
      own.preflights += 1;
      const asked = await fetch(url, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': method,
          ...(unsafe.length > 0 && { 'access-control-request-headers': unsafe.toSorted().join(',') }),
        },
      });
      checkOrigin(asked, origin);
      if (!asked.ok) throw kept(`the preflight has status ${asked.status}`);
      const methods = listOf(asked.headers.get('access-control-allow-methods'));
      if (!safeMethods.includes(method) && !methods.includes(method.toLowerCase())) throw kept(method);
      const allowed = listOf(asked.headers.get('access-control-allow-headers'));
      const refused = unsafe.filter((name) => !allowed.includes(name));
      if (refused.length > 0) throw kept(`headers ${refused.join(', ')}`);
    }
    headers.set('origin', origin);
    const response = await fetch(url, { ...init, headers });
    checkOrigin(response, origin);
    const exposed = [...safeAnswerHeaders, ...listOf(response.headers.get('access-control-expose-headers'))];
    const visible = [...response.headers].filter(([name]) => exposed.includes(name));
    return new Response(response.body, { status: response.status, headers: visible });
  };
  const own = Object.assign(page as typeof fetch, { preflights: 0 });
  return own;
}
