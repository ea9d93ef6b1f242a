import { expect, test } from 'vitest';
import { readMetrics } from './authorization-proof.ts';

const hash = 'c'.repeat(64);
const metrics = `# HELP apiserver_authorization_config_controller_last_config_info [ALPHA] Information about the last applied authorization configuration
# TYPE apiserver_authorization_config_controller_last_config_info gauge
apiserver_authorization_config_controller_last_config_info{apiserver_id_hash="sha256:${'a'.repeat(64)}",hash="sha256:${hash}"} 1
apiserver_authorization_config_controller_automatic_reloads_total{apiserver_id_hash="sha256:${'a'.repeat(64)}",status="failure"} 2
apiserver_authorization_config_controller_automatic_reloads_total{apiserver_id_hash="sha256:${'a'.repeat(64)}",status="success"} 7
apiserver_authorization_webhook_evaluations_total{name="k3s-daas-banned",result="success"} 9
apiserver_authorization_webhook_evaluations_total{name="k3s-daas",result="error"} 4
apiserver_authorization_webhook_evaluations_total{name="k3s-daas",result="success"} 1.2e+06
`;

test('the file in force, the answers of our webhook and failed reloads are read from the metrics', () => {
  expect(readMetrics(metrics)).toEqual({ hash, answers: 1_200_000, failedReloads: 2 });
});

test('an API server without an AuthorizationConfiguration has none of them', () => {
  expect(readMetrics('apiserver_request_total{verb="GET"} 1\n')).toEqual({
    hash: undefined,
    answers: 0,
    failedReloads: 0,
  });
});
