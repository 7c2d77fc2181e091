// To load the rest takes most of the start, and SIGHUP would end the process meanwhile. With a file to read
// again it asks for that alone, and a process that is yet to read it owes nothing.
if (process.env.CONFIG_FILE) process.on('SIGHUP', () => undefined);

await import('./start.js');
