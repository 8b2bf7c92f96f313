import { closeSync, openSync, readSync } from 'node:fs';
import { errorCode, UserError } from '../base/errors.ts';

/** ELF's `e_machine` of the machines that this program is built for. */
const elfMachines: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };
const machineOffset = 18;

/**
 * Refuses a file that is neither a script nor built for this machine. The kernel would refuse it too,
 * but Node.js then gives it to /bin/sh, whose syntax errors help nobody. A file that is missing or may
 * not be read is left to the start itself.
 * @throws UserError naming the file.
 * @see https://man7.org/linux/man-pages/man5/elf.5.html
 */
export function checkExecutable(name: string, executable: string): void {
  const header = readHeader(executable);
  if (header === undefined || header.subarray(0, 2).toString() === '#!') return;
  const machine = elfMachines[process.arch];
  const isElf = header.length > machineOffset + 1 && header.subarray(1, 4).toString() === 'ELF';
  if (isElf && (machine === undefined || header.readUInt16LE(machineOffset) === machine)) return;
  throw new UserError({
    what: `start ${name}`,
    why: `${executable} is no executable for this machine (${process.arch})`,
    fix: `replace it with one built for ${process.arch}`,
  });
}

function readHeader(file: string): Buffer | undefined {
  try {
    const fd = openSync(file, 'r');
    try {
      const header = Buffer.alloc(machineOffset + 2);
      return header.subarray(0, readSync(fd, header, 0, header.length, 0));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EISDIR'].includes(errorCode(error) ?? ''))
      return undefined;
    throw error;
  }
}
