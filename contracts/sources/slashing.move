/// Slashing: the only way by which a stake loses coins, and it takes the votes of the cluster's slashers.
///
/// A proposal counts the votes of those addresses that were slashers when it was opened and still are when it is
/// carried out, and needs the higher of the two thresholds. So neither a slasher who was removed, nor one who was
/// added (or a threshold that was lowered) after a staker could have left, has a say in it. The proposer votes by
/// proposing. Once the votes are there and the challenge time is over, anybody may carry it out.
#[allow(lint(prefer_mut_tx_context))]
module k3s_daas::slashing;

use k3s_daas::cluster::{Self, Cluster, Parameters};
use k3s_daas::staking::{Self, StakeRecord};
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
const EHashLength: vector<u8> =
    b"Evidence and answer are named by a hash of 32 bytes (all zero when there is no evidence)";
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
const EProposalClosed: vector<u8> =
    b"The proposal was carried out, cancelled or closed as expired already";
#[error]
const EProposalExpired: vector<u8> = b"The life of the proposal is over";
#[error]
const EProposalNotExpired: vector<u8> = b"The proposal can still be carried out";
#[error]
const EAlreadyVoted: vector<u8> = b"The sender has voted for this proposal already";
#[error]
const ENotVoted: vector<u8> = b"The sender has no vote for this proposal to take back";
#[error]
const ENotProposer: vector<u8> = b"Only the address that opened a proposal can cancel it";
#[error]
const EOtherVotes: vector<u8> =
    b"Another slasher has voted for the proposal: it cannot be cancelled any more";
#[error]
const EChallengeTime: vector<u8> =
    b"The staker can still answer: the challenge time of the proposal is not over";
#[error]
const ETooFewVotes: vector<u8> = b"The votes that count do not reach the threshold";

// === Constants ===

const PROPOSAL_OPEN: u8 = 0;
const PROPOSAL_EXECUTED: u8 = 1;
const PROPOSAL_EXPIRED: u8 = 2;
const PROPOSAL_CANCELLED: u8 = 3;

const MAX_REASON_LENGTH: u64 = 256;
const HASH_LENGTH: u64 = 32;

// === Structs ===

/// Shared. Stays, as a trace, when it is closed.
public struct SlashProposal has key {
    id: UID,
    cluster: ID,
    record: ID,
    proposer: address,
    amount_mist: u64,
    reason: String,
    /// Hash of a bundle that shows what happened; all zero when there is none.
    evidence: vector<u8>,
    /// Hash of what the staker says to it; empty until then.
    answer: vector<u8>,
    /// The addresses whose votes stand, in the order of voting.
    votes: vector<address>,
    /// The slashers when it was opened: only they may vote.
    electorate: vector<address>,
    /// The threshold when it was opened: never fewer votes than this.
    threshold_at_opening: u64,
    /// 0 open, 1 executed, 2 expired, 3 cancelled.
    status: u8,
    opened_at_ms: u64,
    /// From this time on (inclusive) it can be carried out.
    executable_at_ms: u64,
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
    evidence: vector<u8>,
    executable_at_ms: u64,
    expires_at_ms: u64,
}

/// Also for the vote that the proposer gives by proposing.
public struct SlashVoted has copy, drop {
    cluster: ID,
    record: ID,
    /// The record's last change when the vote was given: a vote is none itself.
    sequence: u64,
    proposal: ID,
    voter: address,
    /// Votes that count now.
    votes: u64,
    /// Votes needed now.
    threshold: u64,
}

public struct SlashVoteRetracted has copy, drop {
    cluster: ID,
    record: ID,
    /// The record's last change when the vote was taken back.
    sequence: u64,
    proposal: ID,
    voter: address,
    /// Votes that count now.
    votes: u64,
    /// Votes needed now.
    threshold: u64,
}

public struct SlashAnswered has copy, drop {
    cluster: ID,
    record: ID,
    proposal: ID,
    staker: address,
    answer: vector<u8>,
}

public struct SlashExpired has copy, drop {
    cluster: ID,
    record: ID,
    sequence: u64,
    proposal: ID,
}

public struct SlashCancelled has copy, drop {
    cluster: ID,
    record: ID,
    sequence: u64,
    proposal: ID,
}

// === Functions ===

/// Opens a proposal to slash a record, and votes for it. `evidence` is the hash of a bundle that shows what happened, or
/// 32 zero bytes. Only a slasher in force: `ENotSlasher`. Aborts with `staking::EWrongCluster`, `EAmountZero`,
/// `EReasonLength`, `EHashLength`, `EStakeGone`, `EUnlocked` (at and after `unlock_at_ms`), `EAmountAboveStake`,
/// `EProposalAlreadyOpen` (one a proposer and record). Emits `SlashProposed`, `SlashVoted`. Returns the proposal: where
/// one vote is enough it can be carried out in the same transaction, which must end by `share`.
public fun propose(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    amount_mist: u64,
    reason: String,
    evidence: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
): SlashProposal {
    let now_ms = clock.timestamp_ms();
    let parameters = cluster.parameters_at(now_ms);
    let proposer = ctx.sender();
    record.assert_belongs(cluster);
    assert!(parameters.slashers().contains(&proposer), ENotSlasher);
    assert!(amount_mist > 0, EAmountZero);
    assert!(!reason.is_empty() && reason.length() <= MAX_REASON_LENGTH, EReasonLength);
    assert!(evidence.length() == HASH_LENGTH, EHashLength);
    assert!(record.is_slashable(now_ms), EStakeGone);
    assert!(record.is_active() || now_ms < record.unlock_at_ms(), EUnlocked);
    assert!(amount_mist <= record.balance_mist(), EAmountAboveStake);
    assert!(!record.has_open_proposal(proposer, now_ms), EProposalAlreadyOpen);
    let proposal = SlashProposal {
        id: object::new(ctx),
        cluster: object::id(cluster),
        record: object::id(record),
        proposer,
        amount_mist,
        reason,
        evidence,
        answer: vector[],
        votes: vector[proposer],
        electorate: *parameters.slashers(),
        threshold_at_opening: parameters.slash_threshold(),
        status: PROPOSAL_OPEN,
        opened_at_ms: now_ms,
        executable_at_ms: now_ms + challenge_ms(record, &parameters),
        expires_at_ms: now_ms + parameters.proposal_life_ms(),
    };
    record.add_proposal(object::id(&proposal), proposer, proposal.expires_at_ms, now_ms);
    event::emit(SlashProposed {
        cluster: proposal.cluster,
        record: proposal.record,
        sequence: record.note_other(cluster),
        proposal: object::id(&proposal),
        proposer,
        amount_mist,
        reason,
        evidence,
        executable_at_ms: proposal.executable_at_ms,
        expires_at_ms: proposal.expires_at_ms,
    });
    note_vote(&proposal, record, &parameters, proposer);
    proposal
}

/// Makes a new proposal reachable for those who vote: the last step of the transaction that made it.
public fun share(proposal: SlashProposal) { transfer::share_object(proposal); }

/// Votes for an open proposal. Carries nothing out and does not write to the cluster, so that votes need not wait for
/// stakes. Only a slasher in force (`ENotSlasher`) who was one when the proposal was opened (`ENotSlasherAtOpening`),
/// once (`EAlreadyVoted`). Aborts with `staking::EWrongCluster`, `EWrongRecord`, `EProposalClosed`,
/// `EProposalExpired`, `EStakeGone`. Emits `SlashVoted`.
public fun vote(
    cluster: &Cluster,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
    clock: &Clock,
    ctx: &TxContext,
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
    proposal.votes.push_back(voter);
    record.add_vote(object::id(proposal), voter);
    note_vote(proposal, record, &parameters, voter);
}

/// Takes a vote back, as long as the proposal is open. Only an address that has voted: `ENotVoted`. Aborts with
/// `staking::EWrongCluster`, `EWrongRecord`, `EProposalClosed`. Emits `SlashVoteRetracted`.
public fun retract(
    cluster: &Cluster,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
    clock: &Clock,
    ctx: &TxContext,
) {
    let parameters = cluster.parameters_at(clock.timestamp_ms());
    let voter = ctx.sender();
    assert_open(proposal, record, cluster);
    let (has_voted, index) = proposal.votes.index_of(&voter);
    assert!(has_voted, ENotVoted);
    proposal.votes.remove(index);
    record.remove_vote(object::id(proposal), voter);
    event::emit(SlashVoteRetracted {
        cluster: proposal.cluster,
        record: proposal.record,
        sequence: record.last_sequence(),
        proposal: object::id(proposal),
        voter,
        votes: counted_votes(proposal, &parameters),
        threshold: needed_votes(proposal, &parameters),
    });
}

/// Puts the hash of an answer on an open proposal, in place of an earlier one. Only the staker:
/// `staking::ENotStaker`. Aborts with `staking::EWrongCluster`, `EWrongRecord`, `EProposalClosed`,
/// `EProposalExpired`, `EHashLength`. Emits `SlashAnswered`.
public fun answer(
    cluster: &Cluster,
    record: &StakeRecord,
    proposal: &mut SlashProposal,
    answer: vector<u8>,
    clock: &Clock,
    ctx: &TxContext,
) {
    assert_open(proposal, record, cluster);
    record.assert_staker(ctx);
    assert!(clock.timestamp_ms() < proposal.expires_at_ms, EProposalExpired);
    assert!(answer.length() == HASH_LENGTH, EHashLength);
    proposal.answer = answer;
    event::emit(SlashAnswered {
        cluster: proposal.cluster,
        record: proposal.record,
        proposal: object::id(proposal),
        staker: record.staker(),
        answer,
    });
}

/// Carries an open proposal out. Anybody may call it once the votes that count reach the threshold (`ETooFewVotes`) and
/// the challenge time is over (`EChallengeTime`), within its life (`EProposalExpired`). Aborts with
/// `staking::EWrongCluster`, `EWrongRecord`, `EProposalClosed`, `EStakeGone`. Emits `staking::StakeSlashed`.
public fun execute(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let now_ms = clock.timestamp_ms();
    let parameters = cluster.parameters_at(now_ms);
    assert_open(proposal, record, cluster);
    assert!(now_ms < proposal.expires_at_ms, EProposalExpired);
    assert!(now_ms >= proposal.executable_at_ms, EChallengeTime);
    assert!(record.is_slashable(now_ms), EStakeGone);
    assert!(
        counted_votes(proposal, &parameters) >= needed_votes(proposal, &parameters),
        ETooFewVotes,
    );
    proposal.status = PROPOSAL_EXECUTED;
    staking::slash(
        cluster,
        record,
        object::id(proposal),
        proposal.amount_mist,
        proposal.reason,
        proposal.evidence,
        clock,
        ctx,
    );
}

/// Closes a proposal that has no effect any more: its life is over, no slash can reach the record, or none of those who
/// have voted is a slasher in force. Only tidies up: such a proposal holds nothing anyway. Anybody may call it. Aborts
/// with `staking::EWrongCluster`, `EWrongRecord`, `EProposalClosed`, `EProposalNotExpired`. Emits `SlashExpired`.
public fun expire(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
    clock: &Clock,
) {
    let now_ms = clock.timestamp_ms();
    let parameters = cluster.parameters_at(now_ms);
    assert_open(proposal, record, cluster);
    assert!(
        now_ms >= proposal.expires_at_ms
            || !record.is_slashable(now_ms)
            || counted_votes(proposal, &parameters) == 0,
        EProposalNotExpired,
    );
    event::emit(SlashExpired {
        cluster: proposal.cluster,
        record: proposal.record,
        sequence: close(proposal, record, cluster, PROPOSAL_EXPIRED),
        proposal: object::id(proposal),
    });
}

/// Takes a proposal back while no other slasher's vote stands. Only its proposer: `ENotProposer`. Aborts with
/// `staking::EWrongCluster`, `EWrongRecord`, `EProposalClosed`, `EOtherVotes`. Emits `SlashCancelled`.
public fun cancel(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
    ctx: &TxContext,
) {
    assert_open(proposal, record, cluster);
    assert!(ctx.sender() == proposal.proposer, ENotProposer);
    let others =
        proposal.votes.length() - (if (proposal.votes.contains(&proposal.proposer)) 1 else 0);
    assert!(others == 0, EOtherVotes);
    event::emit(SlashCancelled {
        cluster: proposal.cluster,
        record: proposal.record,
        sequence: close(proposal, record, cluster, PROPOSAL_CANCELLED),
        proposal: object::id(proposal),
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

public fun evidence(proposal: &SlashProposal): &vector<u8> { &proposal.evidence }

/// Empty until the staker has answered.
public fun answer_hash(proposal: &SlashProposal): &vector<u8> { &proposal.answer }

public fun votes(proposal: &SlashProposal): &vector<address> { &proposal.votes }

public fun electorate(proposal: &SlashProposal): &vector<address> { &proposal.electorate }

public fun threshold_at_opening(proposal: &SlashProposal): u64 { proposal.threshold_at_opening }

public fun status(proposal: &SlashProposal): u8 { proposal.status }

public fun opened_at_ms(proposal: &SlashProposal): u64 { proposal.opened_at_ms }

public fun executable_at_ms(proposal: &SlashProposal): u64 { proposal.executable_at_ms }

public fun expires_at_ms(proposal: &SlashProposal): u64 { proposal.expires_at_ms }

// === Internals ===

/// Aborts with `staking::EWrongCluster`, `EWrongRecord`, `EProposalClosed` unless the three belong together and the
/// proposal is open.
fun assert_open(proposal: &SlashProposal, record: &StakeRecord, cluster: &Cluster) {
    record.assert_belongs(cluster);
    assert!(proposal.record == object::id(record), EWrongRecord);
    assert!(proposal.status == PROPOSAL_OPEN, EProposalClosed);
}

/// The challenge time of a proposal against a record that is opened now. For a record that is not active, at most the
/// longest there could be when it stopped being active: a challenge time that was raised since could end after the
/// hold, and no slash would reach the record.
fun challenge_ms(record: &StakeRecord, parameters: &Parameters): u64 {
    let challenge_ms = parameters.challenge_ms();
    if (record.is_active()) return challenge_ms;
    let longest_ms = cluster::longest_challenge_ms(
        record.hold_until_ms() - record.unlock_at_ms(),
    );
    if (challenge_ms < longest_ms) challenge_ms else longest_ms
}

fun note_vote(
    proposal: &SlashProposal,
    record: &StakeRecord,
    parameters: &Parameters,
    voter: address,
) {
    event::emit(SlashVoted {
        cluster: proposal.cluster,
        record: proposal.record,
        sequence: record.last_sequence(),
        proposal: object::id(proposal),
        voter,
        votes: counted_votes(proposal, parameters),
        threshold: needed_votes(proposal, parameters),
    });
}

/// Closes a proposal that was not carried out. Returns the sequence of the change of the record.
fun close(
    proposal: &mut SlashProposal,
    record: &mut StakeRecord,
    cluster: &mut Cluster,
    status: u8,
): u64 {
    proposal.status = status;
    record.remove_proposal(object::id(proposal));
    record.note_other(cluster)
}
