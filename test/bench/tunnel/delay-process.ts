// A long line in a process of its own, so that it takes nothing from the client's event loop.
import { startDelayProxy } from '../../support/delay-proxy.ts';

const [target, delayMs] = process.argv.slice(2);
const proxy = await startDelayProxy({ target: Number(target), delayMs: Number(delayMs) });
process.send?.(proxy.port);
process.once('disconnect', () => process.exit());
