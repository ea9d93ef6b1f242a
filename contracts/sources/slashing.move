/// Slashing: the only way by which a stake loses coins, and it takes the votes of the cluster's slashers.
///
/// A proposal counts the votes of those addresses that were slashers when it was opened and still are when it is
/// carried out, and needs the higher of the two thresholds. So neither a slasher who was removed, nor one who was
/// added (or a threshold that was lowered) after a staker could have left, has a say in it. The proposer votes by
/// proposing: with a threshold of 1 the proposal is carried out in the same call.
module k3s_daas::slashing;

use k3s_daas::cluster::{Cluster, Parameters};
use k3s_daas::staking::StakeRecord;
use std::string::String;
use sui::clock::Clock;
use sui::event;

// === Errors ===

#[error]
const ENotSlasher: vector<u8> = b"The sender is not a slasher of this cluster";
#[error]
const ENotSlasherAtOpening: vector<u8> =
    b"The sender was not a slasher yet when the proposal was opened: open one of your own";
#[error]
const EAmountZero: vector<u8> = b"The amount to slash must be more than zero";
#[error]
const EAmountAboveStake: vector<u8> = b"The amount to slash is more than the stake has";
#[error]
const EReasonLength: vector<u8> = b"The reason of a slash must have between 1 and 256 bytes";
#[error]
const EStakeGone: vector<u8> =
    b"No slash can reach this stake any more: it is withdrawn, slashed to nothing, or its hold is over";
#[error]
const EUnlocked: vector<u8> =
    b"The stake is unlocked already: no proposal can be opened against it";
#[error]
const EProposalAlreadyOpen: vector<u8> =
    b"The sender has an open proposal against this record already";
#[error]
const EWrongRecord: vector<u8> = b"The proposal is about another stake record";
#[error]
const EProposalClosed: vector<u8> = b"The proposal was carried out or expired already";
#[error]
const EProposalExpired: vector<u8> = b"The life of the proposal is over";
#[error]
const EProposalNotExpired: vector<u8> = b"The proposal can still be carried out";
#[error]
const EAlreadyVoted: vector<u8> = b"The sender has voted for this proposal already";

// === Constants ===

const PROPOSAL_OPEN: u8 = 0;
const PROPOSAL_EXECUTED: u8 = 1;
const PROPOSAL_EXPIRED: u8 = 2;

const MAX_REASON_LENGTH: u64 = 256;

// === Structs ===

/// Shared. Stays, as a trace, when it is closed.
public struct SlashProposal has key {
    id: UID,
    cluster: ID,
    record: ID,
    proposer: address,
    amount_mist: u64,
    reason: String,
    /// Who voted, in order; the proposer first.
    votes: vector<address>,
    /// The slashers when it was opened: nobody else may vote.
    electorate: vector<address>,
    /// The threshold when it was opened: never fewer votes than this.
    threshold_at_opening: u64,
    /// 0 open, 1 executed, 2 expired.
    status: u8,
    opened_at_ms: u64,
    /// From this time on (inclusive) it cannot be carried out any more.
    expires_at_ms: u64,
}

// === Events ===

public struct SlashProposed has copy, drop {
    cluster: ID,
    record: ID,
    sequence: u64,
    proposal: ID,
    proposer: address,
    amount_mist: u64,
    reason: String,
    expires_at_ms: u64,
}

/// Also for the vote that the proposer gives by proposing.
public struct SlashVoted has copy, drop {
    cluster: ID,
    record: ID,
    proposal: ID,
    voter: address,
    /// Votes that count now.
    votes: u64,
    /// Votes needed now.
    threshold: u64,
}

public struct SlashExpired has copy, drop {
    cluster: ID,
    record: ID,
    sequence: u64,
    proposal: ID,
}

// === Functions ===

/// Opens a proposal to slash a record, votes for it, and carries it out if that is enough. Shares the proposal and
/// returns its id. Only a slasher in force: `ENotSlasher`. Aborts with `staking::EWrongCluster`, `EAmountZero`,
/// `EReasonLength`, `EStakeGone`, `EUnlocked` (at and after `unlock_at_ms`), `EAmountAboveStake`,
/// `EProposalAlreadyOpen` (one a proposer and record). Emits `SlashProposed`, `SlashVoted`, and
/// `staking::StakeSlashed` if carried out.
public fun propose(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    amount_mist: u64,
    reason: String,
    clock: &Clock,
    ctx: &mut TxContext,
): ID {
    let now_ms = clock.timestamp_ms();
    let parameters = cluster.parameters_at(now_ms);
    let proposer = ctx.sender();
    record.assert_belongs(cluster);
    assert!(parameters.slashers().contains(&proposer), ENotSlasher);
    assert!(amount_mist > 0, EAmountZero);
    assert!(!reason.is_empty() && reason.length() <= MAX_REASON_LENGTH, EReasonLength);
    assert!(record.is_slashable(now_ms), EStakeGone);
    assert!(record.is_active() || now_ms < record.unlock_at_ms(), EUnlocked);
    assert!(amount_mist <= record.balance_mist(), EAmountAboveStake);
    assert!(!record.has_open_proposal(proposer, now_ms), EProposalAlreadyOpen);
    let mut proposal = SlashProposal {
        id: object::new(ctx),
        cluster: object::id(cluster),
        record: object::id(record),
        proposer,
        amount_mist,
        reason,
        votes: vector[],
        electorate: *parameters.slashers(),
        threshold_at_opening: parameters.slash_threshold(),
        status: PROPOSAL_OPEN,
        opened_at_ms: now_ms,
        expires_at_ms: now_ms + parameters.proposal_life_ms(),
    };
    let id = object::id(&proposal);
    record.add_proposal(id, proposer, proposal.expires_at_ms, now_ms);
    event::emit(SlashProposed {
        cluster: proposal.cluster,
        record: proposal.record,
        sequence: record.note_change(cluster),
        proposal: id,
        proposer,
        amount_mist,
        reason,
        expires_at_ms: proposal.expires_at_ms,
    });
    count_vote(cluster, record, &mut proposal, &parameters, clock, ctx);
    transfer::share_object(proposal);
    id
}

/// Votes for an open proposal, and carries it out when the votes that count reach the threshold. Only a slasher in
/// force (`ENotSlasher`) who was one when the proposal was opened (`ENotSlasherAtOpening`), once (`EAlreadyVoted`).
/// Aborts with `staking::EWrongCluster`, `EWrongRecord`, `EProposalClosed`, `EProposalExpired`, `EStakeGone`.
/// Emits `SlashVoted`, and `staking::StakeSlashed` if carried out.
public fun vote(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let now_ms = clock.timestamp_ms();
    let parameters = cluster.parameters_at(now_ms);
    let voter = ctx.sender();
    record.assert_belongs(cluster);
    assert!(proposal.record == object::id(record), EWrongRecord);
    assert!(parameters.slashers().contains(&voter), ENotSlasher);
    assert!(proposal.electorate.contains(&voter), ENotSlasherAtOpening);
    assert!(proposal.status == PROPOSAL_OPEN, EProposalClosed);
    assert!(now_ms < proposal.expires_at_ms, EProposalExpired);
    assert!(record.is_slashable(now_ms), EStakeGone);
    assert!(!proposal.votes.contains(&voter), EAlreadyVoted);
    count_vote(cluster, record, proposal, &parameters, clock, ctx);
}

/// Closes a proposal that cannot be carried out any more: its life is over, or no slash can reach the record. Only
/// tidies up: such a proposal holds nothing anyway. Anybody may call it. Aborts with `staking::EWrongCluster`,
/// `EWrongRecord`, `EProposalClosed`, `EProposalNotExpired`. Emits `SlashExpired`.
public fun expire(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
    clock: &Clock,
) {
    let now_ms = clock.timestamp_ms();
    record.assert_belongs(cluster);
    assert!(proposal.record == object::id(record), EWrongRecord);
    assert!(proposal.status == PROPOSAL_OPEN, EProposalClosed);
    assert!(now_ms >= proposal.expires_at_ms || !record.is_slashable(now_ms), EProposalNotExpired);
    proposal.status = PROPOSAL_EXPIRED;
    let id = object::id(proposal);
    record.remove_proposal(id);
    event::emit(SlashExpired {
        cluster: proposal.cluster,
        record: proposal.record,
        sequence: record.note_change(cluster),
        proposal: id,
    });
}

/// How many votes of a proposal count under the given parameters: those of addresses that are slashers still.
public fun counted_votes(proposal: &SlashProposal, parameters: &Parameters): u64 {
    let mut count = 0;
    let mut i = 0;
    while (i < proposal.votes.length()) {
        if (parameters.slashers().contains(&proposal.votes[i])) count = count + 1;
        i = i + 1;
    };
    count
}

/// How many votes a proposal needs under the given parameters: the threshold in force, or that of its opening if
/// higher.
public fun needed_votes(proposal: &SlashProposal, parameters: &Parameters): u64 {
    let threshold = parameters.slash_threshold();
    if (threshold > proposal.threshold_at_opening) threshold else proposal.threshold_at_opening
}

// === Accessors ===

public fun cluster(proposal: &SlashProposal): ID { proposal.cluster }

public fun record(proposal: &SlashProposal): ID { proposal.record }

public fun proposer(proposal: &SlashProposal): address { proposal.proposer }

public fun amount_mist(proposal: &SlashProposal): u64 { proposal.amount_mist }

public fun reason(proposal: &SlashProposal): &String { &proposal.reason }

public fun votes(proposal: &SlashProposal): &vector<address> { &proposal.votes }

public fun electorate(proposal: &SlashProposal): &vector<address> { &proposal.electorate }

public fun threshold_at_opening(proposal: &SlashProposal): u64 { proposal.threshold_at_opening }

public fun status(proposal: &SlashProposal): u8 { proposal.status }

public fun opened_at_ms(proposal: &SlashProposal): u64 { proposal.opened_at_ms }

public fun expires_at_ms(proposal: &SlashProposal): u64 { proposal.expires_at_ms }

// === Internals ===

fun count_vote(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
    parameters: &Parameters,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    proposal.votes.push_back(ctx.sender());
    let votes = counted_votes(proposal, parameters);
    let threshold = needed_votes(proposal, parameters);
    let id = object::id(proposal);
    event::emit(SlashVoted {
        cluster: proposal.cluster,
        record: proposal.record,
        proposal: id,
        voter: ctx.sender(),
        votes,
        threshold,
    });
    if (votes >= threshold) {
        proposal.status = PROPOSAL_EXECUTED;
        k3s_daas::staking::slash(
            cluster,
            record,
            id,
            proposal.amount_mist,
            proposal.reason,
            clock,
            ctx,
        );
    }
}
