import type { IncomingMessage, ServerResponse } from 'node:http';
import { bcs } from '@mysten/sui/bcs';
import { Transaction, TransactionDataBuilder } from '@mysten/sui/transactions';
import { isValidSuiAddress, normalizeSuiAddress } from '@mysten/sui/utils';
import { coinOfObject } from './balances.ts';
import { Ed25519Key } from './ed25519.ts';
import { messageOf } from './errors.ts';
import { REFERENCE_GAS_PRICE } from './gas.ts';
import { readJson, sendJson } from './http-json.ts';
import type { ExecutedTransaction, Ledger } from './ledger.ts';
import { refOf } from './objects.ts';

/** What one request gives, as a localnet's faucet does: 200 SUI at once are more than any test spends. */
export const FAUCET_MIST = 200_000_000_000n;
const FAUCET_BUDGET = 50_000_000n;

export interface GivenCoin {
  readonly id: string;
  readonly amount: bigint;
  readonly transferTxDigest: string;
}

/** Gives away the chain's SUI by ordinary transactions, signed with a key of its own. */
export class Faucet {
  readonly #key = new Ed25519Key();
  #ledger: Ledger | undefined;

  /** Holds all SUI when the chain begins. */
  get address(): string {
    return this.#key.address;
  }

  connect(ledger: Ledger): void {
    this.#ledger = ledger;
  }

  /** Sends `mist` to an address as one new coin. */
  async give(recipient: string, mist: bigint = FAUCET_MIST): Promise<GivenCoin> {
    const ledger = this.#ledger;
    if (!ledger) throw new Error('the faucet is not connected to a chain');
    const address = normalizeSuiAddress(recipient);
    if (!isValidSuiAddress(address)) throw new RangeError(`${recipient} is no address`);
    if (mist <= 0n) throw new RangeError(`a faucet gives more than ${mist} MIST`);
    const executed = await this.#send(ledger, address, mist);
    const created = executed.outcome.effects.changes.find(
      ({ after, idOperation }) => idOperation === 'Created' && after !== undefined,
    );
    const coin = created?.after && coinOfObject(created.after, ledger.code);
    if (!created || !coin) throw new Error(`the faucet could not send ${mist} MIST`);
    return { id: created.id, amount: coin.amount, transferTxDigest: executed.digest };
  }

  async #send(ledger: Ledger, recipient: string, mist: bigint): Promise<ExecutedTransaction> {
    const transaction = new Transaction();
    transaction.transferObjects([transaction.splitCoins(transaction.gas, [mist])], recipient);
    transaction.setSender(this.address);
    transaction.setGasPrice(REFERENCE_GAS_PRICE);
    transaction.setGasBudget(FAUCET_BUDGET);
    const coins = () => ledger.objects.ownedBy(this.address, ledger.code);
    const payment = coins().map(refOf);
    transaction.setGasPayment(payment);
    const bytes = await transaction.build();
    // Building gave others a turn: another gift may have moved the coin.
    if (coins()[0]?.digest !== payment[0]?.digest) return this.#send(ledger, recipient, mist);
    const data = bcs.TransactionData.parse(bytes).V1;
    const digest = TransactionDataBuilder.getDigestFromBytes(bytes);
    return ledger.execute(digest, bytes, data, [this.#key.signTransaction(bytes)]);
  }

  /** `POST /v2/gas`, the route of Sui's faucets: `{FixedAmountRequest: {recipient}}`. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = (await readJson(request)) as { FixedAmountRequest?: { recipient?: unknown } };
      const recipient = body.FixedAmountRequest?.recipient;
      if (typeof recipient !== 'string') throw new RangeError('FixedAmountRequest.recipient is missing');
      const coin = await this.give(recipient);
      sendJson(response, 200, {
        status: 'Success',
        coins_sent: [{ ...coin, amount: Number(coin.amount) }],
      });
    } catch (error) {
      sendJson(response, 400, { status: { Failure: { internal: messageOf(error) } } });
    }
  }
}
