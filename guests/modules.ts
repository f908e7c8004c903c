/** Kernel modules: which ones a module needs, read from the module itself. */
import { BuildError } from './errors.ts';

/**
 * Names in the "depends" entry of a module's .modinfo section (zero-terminated KEY=VALUE strings).
 *
 * The section is not looked up in the ELF headers: the string with its zero byte in front occurs once.
 */
export function moduleDependencies(module: Uint8Array): string[] {
  const bytes = Buffer.from(module.buffer, module.byteOffset, module.byteLength);
  const key = '\0depends=';
  const start = bytes.indexOf(key, 0, 'latin1');
  if (start < 0) return [];
  const end = bytes.indexOf(0, start + key.length);
  const value = bytes.toString('latin1', start + key.length, end);
  return value === '' ? [] : value.split(',');
}

/** The kernel takes '-' and '_' in module names as the same. */
function normalised(name: string): string {
  return name.replaceAll('_', '-');
}

/**
 * `name` and all modules it needs, in loading order (what is needed comes first).
 *
 * @param read gives the contents of a module, by its name with dashes
 * @throws BuildError where modules need each other in a circle.
 */
export async function loadingOrder(name: string, read: (name: string) => Promise<Uint8Array>): Promise<string[]> {
  const order: string[] = [];
  const open = new Set<string>();
  const visit = async (wanted: string) => {
    const current = normalised(wanted);
    if (order.includes(current)) return;
    if (open.has(current)) throw new BuildError(`kernel module ${current} needs itself`);
    open.add(current);
    for (const needed of moduleDependencies(await read(current))) await visit(needed);
    order.push(current);
  };
  await visit(name);
  return order;
}
