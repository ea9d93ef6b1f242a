import { expect, test } from 'vitest';
import { installVariables } from './install-variables.ts';

test('a misspelled variable of the installer is refused, and the nearest one is named', () => {
  expect(() => installVariables({ INSTALL_K3S_DAAS_SKIP_STRAT: 'true' })).toThrow(
    expect.objectContaining({
      code: 'DAAS_INSTALL_VARIABLE_UNKNOWN',
      exitCode: 78,
      message: expect.stringContaining('did you mean INSTALL_K3S_DAAS_SKIP_START?'),
    }),
  );
});

test('a switch is true or false, and nothing else; variables of k3s’ own installer are not ours', () => {
  const variables = installVariables({
    INSTALL_K3S_DAAS_SKIP_DOWNLOAD: 'true',
    INSTALL_K3S_DAAS_SKIP_START: 'yes',
    INSTALL_K3S_EXEC: 'agent',
    INSTALL_K3S_DAAS_EXEC: '',
  });
  expect(variables.flag('SKIP_DOWNLOAD')).toBe(true);
  expect(variables.flag('SKIP_ENABLE')).toBe(false);
  expect(variables.text('EXEC')).toBeUndefined();
  expect(() => variables.flag('SKIP_START')).toThrow("'yes'");
});
