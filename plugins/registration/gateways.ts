import { createHash } from 'node:crypto';
import { ConfigurationError, type GatewayEntry, type GatewayTier } from 'k3s-daas/plugin';

const rank: Readonly<Record<GatewayTier, number>> = { basic: 0, standard: 1, premium: 2 };

/**
 * The gateways a worker of a tier may ask, in the order in which it asks: the preferred one, then those of the highest tier
 * first. Within a tier every node has an order of its own, so that the workers of a cluster spread over its gateways, and
 * those that lose one do not all turn to the same next.
 */
export function gatewayOrder(
  gateways: readonly GatewayEntry[],
  { tier, nodeId, preferredUrl }: { tier: GatewayTier; nodeId: string; preferredUrl: string | undefined },
): readonly GatewayEntry[] {
  const open = gateways.filter((gateway) => gateway.isLive && rank[gateway.tier] <= rank[tier]);
  const preferred = preferredUrl === undefined ? undefined : gatewayAt(gateways, preferredUrl);
  const place = (gateway: GatewayEntry) =>
    createHash('sha256').update(`${nodeId} ${gateway.id}`).digest('hex');
  return open.toSorted(
    (left, right) =>
      Number(right.id === preferred?.id) - Number(left.id === preferred?.id) ||
      rank[right.tier] - rank[left.tier] ||
      place(left).localeCompare(place(right)),
  );
}

/** Throws when the chain does not name the configured gateway: any other could hand out a CA of its own. */
function gatewayAt(gateways: readonly GatewayEntry[], url: string): GatewayEntry {
  const wanted = originOf(url);
  const found = gateways.find((gateway) => originOf(gateway.url) === wanted);
  if (!found)
    throw new ConfigurationError(
      'DAAS_GATEWAY_NOT_ON_CHAIN',
      `the gateway ${url} (gatewayUrl of this plugin, join.gatewayUrl, nautilus_endpoint) is not one of this cluster: the chain names ${
        gateways.map((gateway) => gateway.url).join(', ') || 'none'
      }. Correct it or leave it out`,
      { details: { url, gateways: gateways.map((gateway) => gateway.url) } },
    );
  return found;
}

/** `https://host:443/` and `https://HOST` are one place. */
function originOf(url: string): string {
  return URL.parse(url)?.origin ?? url;
}
