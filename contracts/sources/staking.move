// Functions that make no object take `&TxContext`: it says so, and an upgrade adds functions instead of changing these.

/// Stake records: SUI locked for a node, a user or an admin of one cluster.
///
/// A record is made active, and leaves that state once and for ever: to unbonding (the staker's wish, or the admin
/// forces it) or to slashed. Coins go in by the staker alone and come out in two ways: back to the staker after the
/// unbonding time, or to the treasury by a slash. Nothing else in this package moves coins.
#[allow(lint(prefer_mut_tx_context))]
module k3s_daas::staking;

use k3s_daas::cluster::{Self, Cluster, Parameters};
use std::string::String;
use sui::balance::Balance;
use sui::clock::Clock;
use sui::coin::{Self, Coin};
use sui::event;
use sui::sui::SUI;

// === Errors ===

#[error]
const ETermsChanged: vector<u8> =
    b"The terms of the cluster are not those that were named: look at them again and name their version";
#[error]
const EStakeBelowMinimum: vector<u8> =
    b"The stake is below the minimum of the cluster for its type";
#[error]
const EStakeAboveMaximum: vector<u8> =
    b"The stake would exceed the largest stake a record can have";
#[error]
const ETopUpBelowMinimum: vector<u8> = b"The top-up is below the minimum of the cluster";
#[error]
const EWrongCluster: vector<u8> = b"The stake record belongs to another cluster";
#[error]
const ENotStaker: vector<u8> = b"The sender is not the staker of this record";
#[error]
const ENotActive: vector<u8> = b"The stake record is not active";
#[error]
const EProposalOpen: vector<u8> =
    b"A slash proposal against this record is open: wait until it has been decided or has expired";
#[error]
const EStillLocked: vector<u8> =
    b"The stake is still locked: it can be withdrawn when the unbonding time is over";
#[error]
const ENotUnbonding: vector<u8> = b"The stake is not unbonding: request the unstake first";
#[error]
const ENothingLeft: vector<u8> = b"Nothing is left of this stake";

// === Constants ===

const STATUS_ACTIVE: u8 = 0;
const STATUS_UNBONDING: u8 = 1;
const STATUS_SLASHED: u8 = 2;
const STATUS_WITHDRAWN: u8 = 3;

// === Structs ===

/// Shared. Stays for ever, as a trace, also when its coins are gone.
public struct StakeRecord has key {
    id: UID,
    cluster: ID,
    staker: address,
    /// The Kubernetes node name; empty for user and admin stakes.
    node_id: String,
    /// "node", "user" or "admin".
    stake_type: String,
    balance: Balance<SUI>,
    /// 0 active, 1 unbonding, 2 slashed (for good), 3 withdrawn.
    status: u8,
    staked_at_ms: u64,
    /// The least stake of its type then. A slash ends the record only below this and below the minimum of its day.
    minimum_when_staked_mist: u64,
    /// From then on the rest can be withdrawn. 0 while active; fixed when that ends, and never moved later.
    unlock_at_ms: u64,
    /// From then on no proposal holds or takes anything any more. 0 while active; fixed with `unlock_at_ms`.
    hold_until_ms: u64,
    /// All that was ever slashed from this record, in MIST.
    slashed_amount: u64,
    /// The reason of the last slash.
    slash_reason: String,
    /// The one live Seal token.
    token: Option<ID>,
    /// How many Seal tokens were ever made from this record: the sequence of the last one.
    token_sequence: u64,
    /// Open slash proposals, at most one a proposer; entries past their end hold nothing.
    open_proposals: vector<OpenProposal>,
    /// The sequence of the record's last change, as the cluster's rings name it. A vote is no change.
    last_sequence: u64,
}

/// A note on the record about a slash proposal against it.
public struct OpenProposal has copy, drop, store {
    proposal: ID,
    proposer: address,
    /// False when the proposer has taken the vote back.
    has_proposers_vote: bool,
    /// The other addresses that have voted for it.
    seconders: vector<address>,
    expires_at_ms: u64,
}

// === Events ===

public struct StakeCreated has copy, drop {
    cluster: ID,
    record: ID,
    sequence: u64,
    staker: address,
    node_id: String,
    stake_type: String,
    amount_mist: u64,
    staked_at_ms: u64,
    minimum_mist: u64,
    terms_version: u64,
}

public struct StakeToppedUp has copy, drop {
    cluster: ID,
    record: ID,
    sequence: u64,
    amount_mist: u64,
    balance_mist: u64,
}

public struct UnstakeRequested has copy, drop {
    cluster: ID,
    record: ID,
    sequence: u64,
    staker: address,
    node_id: String,
    balance_mist: u64,
    /// True when the admin did it.
    forced: bool,
    /// The Seal token that died by it.
    token: Option<ID>,
    unlock_at_ms: u64,
    hold_until_ms: u64,
}

public struct StakeWithdrawn has copy, drop {
    cluster: ID,
    record: ID,
    sequence: u64,
    staker: address,
    amount_mist: u64,
}

public struct StakeSlashed has copy, drop {
    cluster: ID,
    record: ID,
    sequence: u64,
    proposal: ID,
    staker: address,
    node_id: String,
    /// What went to the treasury: what was proposed, or all that was there if less.
    amount_mist: u64,
    balance_mist: u64,
    treasury: address,
    reason: String,
    /// As in the proposal.
    evidence: vector<u8>,
    /// The record's status afterwards.
    status: u8,
    /// The Seal token that died by it.
    token: Option<ID>,
    /// As in the record: 0 while it is active.
    unlock_at_ms: u64,
    hold_until_ms: u64,
}

// === Staking ===

/// Locks a coin for a node and gives it the node id. Anybody may call it; the sender becomes the staker.
/// `terms_version` is the cluster's as the staker has seen it: another one means that the terms have changed since.
/// Aborts with `ETermsChanged`, `EStakeAboveMaximum`, `EStakeBelowMinimum`, `cluster::EInvalidNodeId`,
/// `cluster::ENodeIdTaken`, `cluster::ENodeIdReserved`. Emits `StakeCreated`. Returns the record: a Seal token can be
/// made from it in the same transaction, which must end by `share`.
public fun stake_for_node(
    cluster: &mut Cluster,
    coin: Coin<SUI>,
    node_id: String,
    terms_version: u64,
    clock: &Clock,
    ctx: &mut TxContext,
): StakeRecord {
    let mut record = stake(cluster, coin, node_id, b"node".to_string(), terms_version, clock, ctx);
    cluster.claim_node_id(node_id, object::id(&record), record.staker);
    note_created(&mut record, cluster, terms_version);
    record
}

/// Locks a coin for the use of kubectl. Anybody may call it; the sender becomes the staker. The minimum is the stake
/// of the first tier. `terms_version` as for `stake_for_node`. Aborts with `ETermsChanged`, `EStakeAboveMaximum`,
/// `EStakeBelowMinimum`. Emits `StakeCreated`. Returns the record, to be handed to `share`.
public fun stake_for_user(
    cluster: &mut Cluster,
    coin: Coin<SUI>,
    terms_version: u64,
    clock: &Clock,
    ctx: &mut TxContext,
): StakeRecord {
    stake_for_account(cluster, coin, b"user".to_string(), terms_version, clock, ctx)
}

/// Locks a coin for the use of kubectl with the highest tier, whose stake is the minimum. Anybody may call it; the
/// sender becomes the staker. (It has nothing to do with the admin of the cluster object.) `terms_version` as for
/// `stake_for_node`. Aborts with `ETermsChanged`, `EStakeAboveMaximum`, `EStakeBelowMinimum`. Emits `StakeCreated`.
/// Returns the record, to be handed to `share`.
public fun stake_for_admin(
    cluster: &mut Cluster,
    coin: Coin<SUI>,
    terms_version: u64,
    clock: &Clock,
    ctx: &mut TxContext,
): StakeRecord {
    stake_for_account(cluster, coin, b"admin".to_string(), terms_version, clock, ctx)
}

/// Makes a new record reachable for everybody who may act on it: the last step of the transaction that made it.
public fun share(record: StakeRecord) { transfer::share_object(record); }

/// Adds a coin to an active stake. `terms_version` as for `stake_for_node`. Only the staker: `ENotStaker`. Aborts with
/// `EWrongCluster`, `ETermsChanged`, `ENotActive`, `EProposalOpen` (a slash under way is not dodged by raising the
/// stake), `ETopUpBelowMinimum`, `EStakeAboveMaximum`. Emits `StakeToppedUp`.
public fun top_up(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    coin: Coin<SUI>,
    terms_version: u64,
    clock: &Clock,
    ctx: &TxContext,
) {
    let now_ms = clock.timestamp_ms();
    assert_belongs(record, cluster);
    assert_terms(cluster, terms_version);
    assert_staker(record, ctx);
    assert_active(record);
    let parameters = cluster.parameters_at(now_ms);
    assert!(!is_held(record, &parameters, now_ms), EProposalOpen);
    let amount_mist = coin.value();
    assert!(amount_mist >= parameters.minimum_top_up_mist(), ETopUpBelowMinimum);
    assert!(
        amount_mist <= cluster::maximum_stake_mist() - record.balance.value(),
        EStakeAboveMaximum,
    );
    record.balance.join(coin.into_balance());
    event::emit(StakeToppedUp {
        cluster: record.cluster,
        record: object::id(record),
        sequence: note_other(record, cluster),
        amount_mist,
        balance_mist: record.balance.value(),
    });
}

/// Begins the unbonding of an active stake: the node id is free, the Seal token is dead, and the coins can be
/// withdrawn after the unbonding time in force. Until then, and while a proposal is open, it can still be slashed.
/// Only the staker: `ENotStaker`. Aborts with `EWrongCluster`, `ENotActive`. Emits `UnstakeRequested`.
public fun request_unstake(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    clock: &Clock,
    ctx: &TxContext,
) {
    assert_belongs(record, cluster);
    assert_staker(record, ctx);
    unbond(cluster, record, false, clock);
}

/// Forces an active record into unbonding, as if the staker had asked for it: against names that are taken to block
/// them. The coins stay the staker's. Only the admin of the cluster: `cluster::ENotAdmin`. Aborts with
/// `EWrongCluster`, `ENotActive`. Emits `UnstakeRequested`.
public fun force_unstake(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    clock: &Clock,
    ctx: &TxContext,
) {
    assert_belongs(record, cluster);
    cluster.assert_admin(ctx);
    unbond(cluster, record, true, clock);
}

/// Pays out what is left of an unbonding or slashed stake, once it is unlocked and no open proposal holds it (at most
/// until `hold_until_ms`; a proposal past its end, or without the vote of a slasher in force, holds nothing, whether or
/// not somebody called `slashing::expire`).
/// A slashed record stays slashed. Only the staker: `ENotStaker`. Aborts with `EWrongCluster`, `ENotUnbonding`,
/// `ENothingLeft`, `EStillLocked`, `EProposalOpen`. Emits `StakeWithdrawn`. Returns the coin.
public fun withdraw(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    clock: &Clock,
    ctx: &mut TxContext,
): Coin<SUI> {
    let now_ms = clock.timestamp_ms();
    assert_belongs(record, cluster);
    assert_staker(record, ctx);
    assert!(record.status != STATUS_ACTIVE, ENotUnbonding);
    let amount_mist = record.balance.value();
    assert!(amount_mist > 0, ENothingLeft);
    assert!(now_ms >= record.unlock_at_ms, EStillLocked);
    assert!(!is_held(record, &cluster.parameters_at(now_ms), now_ms), EProposalOpen);
    if (record.status == STATUS_UNBONDING) record.status = STATUS_WITHDRAWN;
    record.open_proposals = vector[];
    event::emit(StakeWithdrawn {
        cluster: record.cluster,
        record: object::id(record),
        sequence: note_ended(record, cluster),
        staker: record.staker,
        amount_mist,
    });
    coin::take(&mut record.balance, amount_mist, ctx)
}

// === Rules that are pure functions ===

/// The least stake of a type: "node" the minimum worker stake, "user" the first tier, "admin" the last.
public fun minimum_mist(parameters: &Parameters, stake_type: &String): u64 {
    if (stake_type == &b"node".to_string()) parameters.minimum_stake_mist()
    else if (stake_type == &b"user".to_string()) parameters.tiers()[0].tier_stake_mist()
    else parameters.tiers()[2].tier_stake_mist()
}

/// Whether an open proposal keeps the record from being topped up or withdrawn at that time: one that has not expired,
/// and for which an address has voted that is a slasher under the given parameters.
public fun is_held(record: &StakeRecord, parameters: &Parameters, now_ms: u64): bool {
    if (record.status != STATUS_ACTIVE && now_ms >= record.hold_until_ms) return false;
    let mut i = 0;
    while (i < record.open_proposals.length()) {
        let open = &record.open_proposals[i];
        if (now_ms < open.expires_at_ms && is_backed(open, parameters)) return true;
        i = i + 1;
    };
    false
}

/// Whether a slash could take anything from the record at that time: something is left, and its hold is not over.
public fun is_slashable(record: &StakeRecord, now_ms: u64): bool {
    record.balance.value() > 0 && (record.status == STATUS_ACTIVE || now_ms < record.hold_until_ms)
}

/// Whether slashes have left the record less than the minimum in force. Such a worker is bad: it is evicted, and not
/// banned, since a top-up makes it good again. (A stake that only a raised minimum has overtaken is not.)
public fun is_short_after_slash(record: &StakeRecord, parameters: &Parameters): bool {
    record.slashed_amount > 0
        && record.balance.value() < minimum_mist(parameters, &record.stake_type)
}

// === For the other modules ===

/// Aborts with `cluster::EWrongVersion`, and with `EWrongCluster` unless record and cluster belong together.
public(package) fun assert_belongs(record: &StakeRecord, cluster: &Cluster) {
    cluster.assert_version();
    assert!(record.cluster == object::id(cluster), EWrongCluster);
}

/// Aborts with `ENotStaker` unless the sender is the staker.
public(package) fun assert_staker(record: &StakeRecord, ctx: &TxContext) {
    assert!(record.staker == ctx.sender(), ENotStaker);
}

/// Aborts with `ENotActive` unless the record is active.
public(package) fun assert_active(record: &StakeRecord) {
    assert!(record.status == STATUS_ACTIVE, ENotActive);
}

/// Aborts with `EStakeBelowMinimum` unless the stake has its type's minimum.
public(package) fun assert_minimum(record: &StakeRecord, parameters: &Parameters) {
    assert!(
        record.balance.value() >= minimum_mist(parameters, &record.stake_type),
        EStakeBelowMinimum,
    );
}

/// Binds a new Seal token to the record, in place of whatever was bound. The caller notes the change in the ring.
/// Returns the sequence of the token.
public(package) fun bind_token(record: &mut StakeRecord, token: ID): u64 {
    record.token = option::some(token);
    record.token_sequence = record.token_sequence + 1;
    record.token_sequence
}

/// Unbinds the Seal token. The caller notes the change in the ring.
public(package) fun unbind_token(record: &mut StakeRecord) {
    record.token = option::none();
}

/// Whether a proposer has an open proposal against the record at that time.
public(package) fun has_open_proposal(record: &StakeRecord, proposer: address, now_ms: u64): bool {
    let mut i = 0;
    while (i < record.open_proposals.length()) {
        let open = &record.open_proposals[i];
        if (open.proposer == proposer && now_ms < open.expires_at_ms) return true;
        i = i + 1;
    };
    false
}

/// Writes an open proposal down on the record, and drops notes of those that have expired.
public(package) fun add_proposal(
    record: &mut StakeRecord,
    proposal: ID,
    proposer: address,
    expires_at_ms: u64,
    now_ms: u64,
) {
    let mut kept = vector[];
    let mut i = 0;
    while (i < record.open_proposals.length()) {
        let open = record.open_proposals[i];
        if (now_ms < open.expires_at_ms) kept.push_back(open);
        i = i + 1;
    };
    kept.push_back(OpenProposal {
        proposal,
        proposer,
        has_proposers_vote: true,
        seconders: vector[],
        expires_at_ms,
    });
    record.open_proposals = kept;
}

/// Writes down on the record that a slasher has voted for an open proposal.
public(package) fun add_vote(record: &mut StakeRecord, proposal: ID, voter: address) {
    let (found, i) = note_index(record, proposal);
    if (!found) return;
    let open = &mut record.open_proposals[i];
    if (voter == open.proposer) open.has_proposers_vote = true else open.seconders.push_back(voter);
}

/// Takes a vote off the record.
public(package) fun remove_vote(record: &mut StakeRecord, proposal: ID, voter: address) {
    let (found, i) = note_index(record, proposal);
    if (!found) return;
    let open = &mut record.open_proposals[i];
    if (voter == open.proposer) open.has_proposers_vote = false;
    let (is_seconder, at) = open.seconders.index_of(&voter);
    if (is_seconder) {
        open.seconders.remove(at);
    };
}

/// Takes a proposal off the record, if it is still noted there.
public(package) fun remove_proposal(record: &mut StakeRecord, proposal: ID) {
    let (found, i) = note_index(record, proposal);
    if (found) {
        record.open_proposals.remove(i);
    };
}

/// Sends coins of the record to the treasury: the amount, or all there is if less. What is left below the minimum in
/// force, and below that of the day of the stake, makes the record slashed for good: its node id is free, its token
/// dead, and the rest can be withdrawn after the unbonding time (an unbonding that had begun goes on unchanged). The
/// caller has made sure of everything else.
public(package) fun slash(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    proposal: ID,
    amount_mist: u64,
    reason: String,
    evidence: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let now_ms = clock.timestamp_ms();
    let parameters = cluster.parameters_at(now_ms);
    let left_mist = record.balance.value();
    let taken_mist = if (amount_mist < left_mist) amount_mist else left_mist;
    let coin = coin::take(&mut record.balance, taken_mist, ctx);
    transfer::public_transfer(coin, parameters.treasury());
    record.slashed_amount = record.slashed_amount + taken_mist;
    record.slash_reason = reason;
    remove_proposal(record, proposal);
    let token = record.token;
    let minimum_mist = minimum_mist(&parameters, &record.stake_type);
    let balance_mist = record.balance.value();
    if (balance_mist < minimum_mist && balance_mist < record.minimum_when_staked_mist) {
        if (record.status == STATUS_ACTIVE) end_activity(cluster, record, &parameters, now_ms);
        record.status = STATUS_SLASHED;
    };
    event::emit(StakeSlashed {
        cluster: record.cluster,
        record: object::id(record),
        sequence: note_forced(record, cluster),
        proposal,
        staker: record.staker,
        node_id: record.node_id,
        amount_mist: taken_mist,
        balance_mist,
        treasury: parameters.treasury(),
        reason,
        evidence,
        status: record.status,
        token: if (record.token.is_none()) token else option::none(),
        unlock_at_ms: record.unlock_at_ms,
        hold_until_ms: record.hold_until_ms,
    });
}

/// Notes an unstake, withdrawal or revocation that the staker signed. Returns its sequence.
public(package) fun note_ended(record: &mut StakeRecord, cluster: &mut Cluster): u64 {
    record.last_sequence = cluster.note_ended(object::id(record), is_for_node(record));
    record.last_sequence
}

/// Notes a change of the record among the ordinary ones. Returns its sequence.
public(package) fun note_other(record: &mut StakeRecord, cluster: &mut Cluster): u64 {
    record.last_sequence = cluster.note_other(object::id(record), is_for_node(record));
    record.last_sequence
}

// === Accessors ===

public fun cluster(record: &StakeRecord): ID { record.cluster }

public fun staker(record: &StakeRecord): address { record.staker }

public fun node_id(record: &StakeRecord): &String { &record.node_id }

public fun stake_type(record: &StakeRecord): &String { &record.stake_type }

public fun balance_mist(record: &StakeRecord): u64 { record.balance.value() }

public fun status(record: &StakeRecord): u8 { record.status }

public fun staked_at_ms(record: &StakeRecord): u64 { record.staked_at_ms }

public fun minimum_when_staked_mist(record: &StakeRecord): u64 { record.minimum_when_staked_mist }

public fun unlock_at_ms(record: &StakeRecord): u64 { record.unlock_at_ms }

public fun hold_until_ms(record: &StakeRecord): u64 { record.hold_until_ms }

public fun slashed_amount(record: &StakeRecord): u64 { record.slashed_amount }

public fun slash_reason(record: &StakeRecord): &String { &record.slash_reason }

public fun token(record: &StakeRecord): Option<ID> { record.token }

public fun token_sequence(record: &StakeRecord): u64 { record.token_sequence }

public fun open_proposals(record: &StakeRecord): &vector<OpenProposal> { &record.open_proposals }

public fun last_sequence(record: &StakeRecord): u64 { record.last_sequence }

public fun open_proposal_id(open: &OpenProposal): ID { open.proposal }

public fun open_proposal_proposer(open: &OpenProposal): address { open.proposer }

public fun open_proposal_has_proposers_vote(open: &OpenProposal): bool { open.has_proposers_vote }

public fun open_proposal_seconders(open: &OpenProposal): &vector<address> { &open.seconders }

public fun open_proposal_expires_at_ms(open: &OpenProposal): u64 { open.expires_at_ms }

public fun is_active(record: &StakeRecord): bool { record.status == STATUS_ACTIVE }

public fun is_for_node(record: &StakeRecord): bool { record.stake_type == b"node".to_string() }

// === Internals ===

fun stake_for_account(
    cluster: &mut Cluster,
    coin: Coin<SUI>,
    stake_type: String,
    terms_version: u64,
    clock: &Clock,
    ctx: &mut TxContext,
): StakeRecord {
    let mut record = stake(
        cluster,
        coin,
        b"".to_string(),
        stake_type,
        terms_version,
        clock,
        ctx,
    );
    note_created(&mut record, cluster, terms_version);
    record
}

fun stake(
    cluster: &Cluster,
    coin: Coin<SUI>,
    node_id: String,
    stake_type: String,
    terms_version: u64,
    clock: &Clock,
    ctx: &mut TxContext,
): StakeRecord {
    cluster.assert_version();
    assert_terms(cluster, terms_version);
    let now_ms = clock.timestamp_ms();
    let parameters = cluster.parameters_at(now_ms);
    let amount_mist = coin.value();
    assert!(amount_mist <= cluster::maximum_stake_mist(), EStakeAboveMaximum);
    let minimum_when_staked_mist = minimum_mist(&parameters, &stake_type);
    assert!(amount_mist >= minimum_when_staked_mist, EStakeBelowMinimum);
    StakeRecord {
        id: object::new(ctx),
        cluster: object::id(cluster),
        staker: ctx.sender(),
        node_id,
        stake_type,
        balance: coin.into_balance(),
        status: STATUS_ACTIVE,
        staked_at_ms: now_ms,
        minimum_when_staked_mist,
        unlock_at_ms: 0,
        hold_until_ms: 0,
        slashed_amount: 0,
        slash_reason: b"".to_string(),
        token: option::none(),
        token_sequence: 0,
        open_proposals: vector[],
        last_sequence: 0,
    }
}

/// Aborts with `ETermsChanged` unless this is the version of the terms now: coins go under no terms that their staker
/// has not seen.
fun assert_terms(cluster: &Cluster, terms_version: u64) {
    assert!(terms_version == cluster.terms_version(), ETermsChanged);
}

fun note_created(record: &mut StakeRecord, cluster: &mut Cluster, terms_version: u64) {
    event::emit(StakeCreated {
        cluster: record.cluster,
        record: object::id(record),
        sequence: note_other(record, cluster),
        staker: record.staker,
        node_id: record.node_id,
        stake_type: record.stake_type,
        amount_mist: record.balance.value(),
        staked_at_ms: record.staked_at_ms,
        minimum_mist: record.minimum_when_staked_mist,
        terms_version,
    });
}

fun unbond(cluster: &mut Cluster, record: &mut StakeRecord, forced: bool, clock: &Clock) {
    assert_active(record);
    let now_ms = clock.timestamp_ms();
    let token = record.token;
    let parameters = cluster.parameters_at(now_ms);
    end_activity(cluster, record, &parameters, now_ms);
    record.status = STATUS_UNBONDING;
    event::emit(UnstakeRequested {
        cluster: record.cluster,
        record: object::id(record),
        sequence: if (forced) note_forced(record, cluster) else note_ended(record, cluster),
        staker: record.staker,
        node_id: record.node_id,
        balance_mist: record.balance.value(),
        forced,
        token,
        unlock_at_ms: record.unlock_at_ms,
        hold_until_ms: record.hold_until_ms,
    });
}

/// What every end of the active state brings: the node id is free, the token dead, the times are fixed.
fun end_activity(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    parameters: &Parameters,
    now_ms: u64,
) {
    if (is_for_node(record)) cluster.release_node_id(record.node_id);
    unbind_token(record);
    record.unlock_at_ms = now_ms + parameters.unbonding_ms();
    record.hold_until_ms = cluster::hold_until(record.unlock_at_ms, parameters.unbonding_ms());
}

/// Notes a slash or forced unstake. Returns its sequence.
fun note_forced(record: &mut StakeRecord, cluster: &mut Cluster): u64 {
    record.last_sequence = cluster.note_forced(object::id(record), is_for_node(record));
    record.last_sequence
}

/// Whether one of those who have voted for an open proposal is a slasher under the given parameters.
fun is_backed(open: &OpenProposal, parameters: &Parameters): bool {
    let slashers = parameters.slashers();
    if (open.has_proposers_vote && slashers.contains(&open.proposer)) return true;
    let mut i = 0;
    while (i < open.seconders.length()) {
        if (slashers.contains(&open.seconders[i])) return true;
        i = i + 1;
    };
    false
}

/// Whether a proposal is noted on the record, and where.
fun note_index(record: &StakeRecord, proposal: ID): (bool, u64) {
    let mut i = 0;
    while (i < record.open_proposals.length()) {
        if (record.open_proposals[i].proposal == proposal) return (true, i);
        i = i + 1;
    };
    (false, 0)
}
