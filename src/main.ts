// To load the rest takes most of the start, and SIGHUP would end the process meanwhile. Whether there is a file
// to read again is known only then: the signal is sent again, to whoever listens by then.
let hangUps = 0;
const count = () => {
  hangUps += 1;
};
process.on('SIGHUP', count);

await import('./start.js');

process.off('SIGHUP', count);
if (hangUps > 0) process.kill(process.pid, 'SIGHUP');
