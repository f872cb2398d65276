// Pages of views: a page of large requests is work, and others have their turn meanwhile.
import { setImmediate as immediate } from 'node:timers/promises';
import type { Hex } from '../protocol/hex.ts';
import type { Page } from './index-keys.ts';

/** The views of a page's ids, made one after the other, and where the next page begins. */
export async function pageOf<View>(
  page: Page,
  view: (id: Hex) => Promise<View>,
): Promise<{ items: View[]; next?: string }> {
  const items: View[] = [];
  for (const id of page.ids) {
    items.push(await view(id));
    await immediate();
  }
  return page.next === undefined ? { items } : { items, next: page.next };
}
