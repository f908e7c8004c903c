/** Picks the boot protocol for a kernel file. */
import { BootError, type BootPlan, type KernelOptions } from './boot-plan.ts';
import { isLinuxKernel, planLinux } from './linux.ts';
import { findMultibootHeader, planMultiboot } from './multiboot.ts';
import { isPvhKernel, planPvh } from './pvh.ts';

/** Boot protocols in order of preference: a kernel that has several headers is booted by the first. */
const PROTOCOLS = [
  { name: 'Linux', matches: isLinuxKernel, plan: planLinux },
  { name: 'multiboot', matches: (file: Uint8Array) => findMultibootHeader(file) !== undefined, plan: planMultiboot },
  { name: 'PVH', matches: isPvhKernel, plan: planPvh },
] as const;

/**
 * Plans the boot of a Linux bzImage, a multiboot kernel or a PVH ELF kernel.
 * @throws BootError if the file is none of these or cannot be booted
 */
export function planKernel(file: Uint8Array, options: KernelOptions): BootPlan & { protocol: string } {
  const protocol = PROTOCOLS.find(({ matches }) => matches(file));
  if (!protocol)
    throw new BootError('kernel is not a Linux bzImage, a multiboot kernel or an ELF kernel with a PVH entry');
  return { ...protocol.plan(file, options), protocol: protocol.name };
}
