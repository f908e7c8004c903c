import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadingOrder, moduleDependencies } from './modules.ts';

function moduleWith(depends: string | undefined): Uint8Array {
  const entries = ['license=GPL', ...(depends === undefined ? [] : [`depends=${depends}`]), 'name=x'];
  return new TextEncoder().encode(`\x7fELF junk\0${entries.join('\0')}\0more`);
}

describe('kernel modules', () => {
  test('dependencies are read from the module', () => {
    assert.deepEqual(moduleDependencies(moduleWith('kvm,ccp')), ['kvm', 'ccp']);
    assert.deepEqual(moduleDependencies(moduleWith('')), []);
    assert.deepEqual(moduleDependencies(moduleWith(undefined)), []);
  });

  const read = (modules: Record<string, string>) => async (name: string) => moduleWith(modules[name]);

  test('what is needed comes first, and once', async () => {
    const modules = { 'kvm-amd': 'kvm,irq_bypass', kvm: 'irq_bypass', 'irq-bypass': '' };
    assert.deepEqual(await loadingOrder('kvm-amd', read(modules)), ['irq-bypass', 'kvm', 'kvm-amd']);
  });

  test('a circle is an error, not an endless loop', async () => {
    await assert.rejects(loadingOrder('a', read({ a: 'b', b: 'a' })), /needs itself/);
  });
});
