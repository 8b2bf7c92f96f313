/**
 * For the life of a connection: its errors are followed by `close`, where both sides are cleaned up. One function for
 * all, for one of its own would keep everything alive that was there when the connection was made.
 */
export function ignoreError(): void {}
