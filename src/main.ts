// To load the rest takes most of the start, and SIGHUP would end the process meanwhile. Whether there is a file
// to read again is known only then: the signal is sent again, to whoever listens by then.
let isHungUp = false;
const note = () => {
  isHungUp = true;
};
process.on('SIGHUP', note);

await import('./start.js');

process.off('SIGHUP', note);
if (isHungUp) process.kill(process.pid, 'SIGHUP');
