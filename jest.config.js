export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testRegex: '\\.test\\.ts$',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: { '^.+\\.ts$': ['@swc/jest'] },
  // For tests that start processes on a slow machine; shorter than the deadlines for upstream.
  testTimeout: 40_000,
  // A socket that is reset while it ends leaves its handle with Node. What the product leaves open
  // is for the tests of disconnects and of the shutdown to see.
  forceExit: true,
};
