/** Connections that may wait to be accepted. With Node's default of 511, bursts of them are reset. */
export const BACKLOG = 4096;
