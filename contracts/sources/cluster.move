// Functions that make no object take `&TxContext`: it says so, and an upgrade adds functions instead of changing these.

/// A cluster: the one shared object an operator has for one Kubernetes cluster, named by its id everywhere else.
///
/// It holds what all stakers of the cluster agree to (the parameters, and the change that pends), who may do what
/// (admin, slashers), the servers a worker may join and the gateways it may talk to, which node ids are taken or
/// reserved, and the change rings by which a reader learns from this one object which stake records have changed.
///
/// This module knows nothing of stakes, slashes or tokens: the others come to it.
#[allow(lint(prefer_mut_tx_context))]
module k3s_daas::cluster;

use std::string::String;
use sui::clock::Clock;
use sui::dynamic_field as field;
use sui::event;
use sui::table::{Self, Table};

// === Errors ===

#[error]
const ENotAdmin: vector<u8> = b"The sender is not the admin of this cluster";
#[error]
const ENotOfferedAdmin: vector<u8> =
    b"The sender is not the address to which the admin role was offered";
#[error]
const EOfferExpired: vector<u8> =
    b"The offer of the admin role is older than seven days: it must be made anew";
#[error]
const EWrongVersion: vector<u8> =
    b"The cluster is of another version of this package: call the package that its version names";
#[error]
const EMinimumStakeOutOfBounds: vector<u8> =
    b"The minimum worker stake must not exceed the largest stake there can be";
#[error]
const EMinimumTopUpOutOfBounds: vector<u8> =
    b"The minimum top-up must be at least 1 MIST and not exceed the largest stake there can be";
#[error]
const ETierCount: vector<u8> =
    b"There must be exactly three tiers, each with a stake and a list of permissions";
#[error]
const ETierOrder: vector<u8> =
    b"The stakes of the tiers must begin at 1 MIST or more and rise strictly up to the largest stake there can be";
#[error]
const ETierPermissions: vector<u8> =
    b"A tier must grant between one and sixteen permissions of the form resource:verb, none of them twice";
#[error]
const ENoWorkerTier: vector<u8> =
    b"One of the tiers must grant the permission nodes:write, or no worker could join";
#[error]
const EMinimumBelowWorkerTier: vector<u8> =
    b"The minimum worker stake must reach the tier that grants nodes:write";
#[error]
const EUnbondingOutOfBounds: vector<u8> =
    b"The unbonding time must be between one minute and one year";
#[error]
const ETokenLifeOutOfBounds: vector<u8> =
    b"The life of a Seal token must be between 1 and 1000 epochs";
#[error]
const EProposalLifeOutOfBounds: vector<u8> =
    b"The life of a slash proposal must be at least one second and at most a quarter of the unbonding time";
#[error]
const EChallengeOutOfBounds: vector<u8> =
    b"The challenge time of a slash proposal must be at most half the life of a proposal";
#[error]
const ESlasherCount: vector<u8> = b"There must be between one and sixteen slashers";
#[error]
const EDuplicateSlasher: vector<u8> = b"A slasher is named twice";
#[error]
const EThresholdOutOfBounds: vector<u8> =
    b"The slash threshold must be at least one and at most the number of slashers";
#[error]
const EZeroTreasury: vector<u8> = b"The treasury must not be the zero address";
#[error]
const ENoTreasuryToAccept: vector<u8> =
    b"No change of treasury waits for an acceptance: none pends, or its time has come already";
#[error]
const ENotNewTreasury: vector<u8> = b"Only the new treasury address itself can accept";
#[error]
const ENotASlasher: vector<u8> = b"The address is neither a slasher nor about to become one";
#[error]
const EThresholdNotRaised: vector<u8> =
    b"At once the threshold can only be raised, and to no more than the number of slashers";
#[error]
const EServers: vector<u8> =
    b"A cluster names at most four different servers, each an https:// URL of at most 256 printable ASCII characters";
#[error]
const ECaHashes: vector<u8> =
    b"A cluster names at most two different CA hashes, each a SHA-256 of 32 bytes";
#[error]
const EEndpoint: vector<u8> =
    b"The endpoint of a gateway must be an https:// URL of at most 256 printable ASCII characters";
#[error]
const ETlsPins: vector<u8> =
    b"A gateway has at most two different TLS pins, each a SHA-256 of 32 bytes";
#[error]
const EAttestation: vector<u8> =
    b"The attestation kind must have 1 to 32 characters out of a-z, 0-9 and hyphen, the measurement at most 128 bytes";
#[error]
const ESigningKey: vector<u8> =
    b"The signing key of a gateway must be an Ed25519 public key of 32 bytes";
#[error]
const ENoSuchTier: vector<u8> = b"The tier must be 0 (basic), 1 (standard) or 2 (premium)";
#[error]
const ETooManyGateways: vector<u8> = b"A cluster has at most 32 gateways: retire one first";
#[error]
const EGatewayExists: vector<u8> =
    b"A gateway of this cluster has that endpoint or that signing key already: retire it first";
#[error]
const ENoSuchGateway: vector<u8> = b"No gateway of this cluster has that id";
#[error]
const ENoSuchStatus: vector<u8> =
    b"The status of a gateway must be 0 (live), 1 (draining) or 2 (retired)";
#[error]
const ENodeIdTaken: vector<u8> = b"A live stake record of this cluster holds that node id already";
#[error]
const EInvalidNodeId: vector<u8> =
    b"The node id must be one lower-case DNS label: 1 to 63 characters out of a-z, 0-9 and hyphen, with no hyphen at either end";
#[error]
const ENodeIdReserved: vector<u8> = b"The admin has reserved that node id for another address";
#[error]
const ENodeIdNotReserved: vector<u8> = b"That node id is not reserved";

// === Bounds ===

/// Of the package that may change a cluster. An upgrade raises it, and brings the call that lifts clusters to it.
const VERSION: u64 = 1;

/// The largest stake, minimum or tier, in MIST: 10^18, a tenth of all SUI. Two of them fit into a u64 many times.
const MAX_STAKE_MIST: u64 = 1_000_000_000_000_000_000;
const MIN_UNBONDING_MS: u64 = 60_000;
const MAX_UNBONDING_MS: u64 = 31_536_000_000;
const MAX_TOKEN_EPOCHS: u64 = 1_000;
const MIN_PROPOSAL_LIFE_MS: u64 = 1_000;
const MAX_SLASHERS: u64 = 16;
const MAX_GATEWAYS: u64 = 32;
const MAX_SERVERS: u64 = 4;
const MAX_NODE_ID_LENGTH: u64 = 63;
const MAX_ENDPOINT_LENGTH: u64 = 256;
/// Of TLS pins, and of CA hashes: two while one is being replaced.
const MAX_HASHES: u64 = 2;
const HASH_LENGTH: u64 = 32;
const MAX_ATTESTATION_KIND_LENGTH: u64 = 32;
const MAX_MEASUREMENT_LENGTH: u64 = 128;
const MAX_TIER_PERMISSIONS: u64 = 16;
const MAX_PERMISSION_LENGTH: u64 = 64;
const TIER_COUNT: u64 = 3;
/// Entries of one ring: of changes of node stakes, and of user and admin stakes, which are cheap to flood.
const NODE_RING_CAPACITY: u64 = 128;
const ACCOUNT_RING_CAPACITY: u64 = 32;
/// A parameter change counts this long after everybody could have left.
const DAY_MS: u64 = 86_400_000;
/// An unbonding stake is held by a proposal at most a quarter of its unbonding time longer.
const HOLD_DIVISOR: u64 = 4;
/// A slash can be challenged for at most this part of a proposal's life.
const CHALLENGE_DIVISOR: u64 = 2;
/// For a week the admin role can be taken over after it was offered.
const OFFER_LIFE_MS: u64 = 604_800_000;

const GATEWAY_LIVE: u8 = 0;
const GATEWAY_RETIRED: u8 = 2;

// === Structs ===

/// Shared; one per Kubernetes cluster. Everything a watcher needs is in this object, except the table's entries.
public struct Cluster has key {
    id: UID,
    /// Of the package that may change it.
    version: u64,
    /// Schedules parameters, names servers and gateways, may force a record into unbonding. Never touches coins.
    admin: address,
    /// To whom the admin role is offered, until accepted.
    offered_admin: Option<AdminOffer>,
    /// In force unless `pending` has come into effect: ask `parameters_at`.
    parameters: Parameters,
    pending: Option<PendingParameters>,
    /// By then every stake is unlocked that began to unbond under parameters before the stored ones: no later change
    /// may count earlier, or a shortened unbonding time would bring it to those who cannot leave any more.
    earlier_unlock_ms: u64,
    /// Rises with each act that changes what stakers agree to, now or later, and never by time. A staker names the
    /// one it was shown.
    terms_version: u64,
    /// Where a worker may join: the Kubernetes servers. Empty: unchecked.
    servers: vector<String>,
    /// SHA-256 of the CA certificates of these servers, as join credentials name them; two while one is being
    /// replaced. Empty: unchecked.
    ca_hashes: vector<vector<u8>>,
    /// Live and draining gateways, in the order of registration. A retired one leaves the list.
    gateways: vector<Gateway>,
    /// Node id to stake record, of active records only.
    nodes: Table<String, ID>,
    /// Number of the last change of a stake record of this cluster; the first is 1.
    change_seq: u64,
    /// Changes of node stakes.
    node_rings: Rings,
    /// Changes of user and admin stakes.
    account_rings: Rings,
}

/// Names the dynamic field of a cluster with the address that a node id is kept for.
public struct Reservation has copy, drop, store {
    node_id: String,
}

/// The admin role, on offer.
public struct AdminOffer has copy, drop, store {
    to: address,
    /// From this time on (inclusive) it cannot be accepted any more.
    expires_at_ms: u64,
}

/// What stakers agree to. Made only by `new_parameters`, so every value of this type is within its bounds (but for
/// slashers who were removed at once: there may be fewer than the threshold, or none).
public struct Parameters has copy, drop, store {
    minimum_stake_mist: u64,
    minimum_top_up_mist: u64,
    /// Three: basic, standard, premium. Permissions add up from tier to tier.
    tiers: vector<Tier>,
    unbonding_ms: u64,
    maximum_token_epochs: u64,
    slashers: vector<address>,
    slash_threshold: u64,
    proposal_life_ms: u64,
    /// So long after its opening a proposal cannot be carried out, and the staker can answer it.
    challenge_ms: u64,
    /// Receives slashed coins.
    treasury: address,
}

/// Stakes of at least `stake_mist` have these permissions and those of the tiers below.
public struct Tier has copy, drop, store {
    stake_mist: u64,
    permissions: vector<String>,
}

/// A change of parameters that has been announced.
public struct PendingParameters has copy, drop, store {
    parameters: Parameters,
    /// From this time on (inclusive) `parameters` are in force.
    effective_at_ms: u64,
    /// False while a new treasury has not accepted: the old one then stays.
    treasury_accepted: bool,
}

/// A gateway as workers find it. Its `id` is the audience of Seal proofs.
public struct Gateway has copy, drop, store {
    id: ID,
    endpoint: String,
    /// SHA-256 of the SubjectPublicKeyInfo; two while a key is being replaced.
    tls_pins: vector<vector<u8>>,
    attestation_kind: String,
    attestation_measurement: vector<u8>,
    /// Ed25519.
    signing_key: vector<u8>,
    /// 0 basic, 1 standard, 2 premium: serves workers of its tier and above.
    tier: u8,
    /// 0 live, 1 draining. (2, retired, is seen in the event only.)
    status: u8,
    /// What an enclave with the measurement has shown last.
    attestation: Option<Attestation>,
}

/// That an enclave with the gateway's measurement holds this key.
public struct Attestation has copy, drop, store {
    /// Ed25519, made by the enclave when it started.
    enclave_key: vector<u8>,
    attested_at_ms: u64,
    /// From this time on (inclusive) it says nothing any more.
    expires_at_ms: u64,
}

/// Changes of records, apart by who can bring them about: an address can push changes out of those rings only into
/// which its own changes go.
public struct Rings has store {
    /// Slashes and forced unstakes: what slashers and the admin do.
    forced: Ring,
    /// Unstakes, withdrawals and revocations: what the staker signed.
    ended: Ring,
    /// All others.
    other: Ring,
}

/// Records by their last change of a kind.
public struct Ring has store {
    /// Oldest first.
    entries: vector<RingEntry>,
    /// The highest sequence that has fallen out: a reader that has read less far must make a full pass.
    dropped_seq: u64,
}

/// `record` last changed as the `sequence`-th change of the cluster.
public struct RingEntry has copy, drop, store {
    record: ID,
    sequence: u64,
}

// === Events ===

public struct ClusterCreated has copy, drop {
    cluster: ID,
    admin: address,
    parameters: Parameters,
}

public struct ParametersScheduled has copy, drop {
    cluster: ID,
    parameters: Parameters,
    effective_at_ms: u64,
    /// The new treasury must call `accept_treasury` before `effective_at_ms`.
    treasury_accepted: bool,
    terms_version: u64,
}

/// An announced change gave way to another one before its time.
public struct ParametersReplaced has copy, drop {
    cluster: ID,
    /// Those that will never be in force.
    parameters: Parameters,
    effective_at_ms: u64,
}

/// An announced change has been moved to its place. It was in force from `effective_at_ms` on, whenever that was done.
public struct ParametersInForce has copy, drop {
    cluster: ID,
    parameters: Parameters,
    effective_at_ms: u64,
}

public struct TreasuryAccepted has copy, drop {
    cluster: ID,
    treasury: address,
    effective_at_ms: u64,
    terms_version: u64,
}

public struct SlasherRemoved has copy, drop {
    cluster: ID,
    slasher: address,
    terms_version: u64,
}

public struct SlashThresholdRaised has copy, drop {
    cluster: ID,
    slash_threshold: u64,
    terms_version: u64,
}

public struct AdminOffered has copy, drop {
    cluster: ID,
    admin: address,
    offered_to: address,
    expires_at_ms: u64,
}

public struct AdminChanged has copy, drop {
    cluster: ID,
    previous: address,
    admin: address,
}

public struct ServersChanged has copy, drop {
    cluster: ID,
    servers: vector<String>,
    ca_hashes: vector<vector<u8>>,
}

public struct NodeIdReserved has copy, drop {
    cluster: ID,
    node_id: String,
    reserved_for: address,
}

public struct NodeIdUnreserved has copy, drop {
    cluster: ID,
    node_id: String,
}

public struct GatewayRegistered has copy, drop {
    cluster: ID,
    gateway: Gateway,
}

public struct GatewayStatusChanged has copy, drop {
    cluster: ID,
    gateway: ID,
    status: u8,
}

public struct GatewayPinsChanged has copy, drop {
    cluster: ID,
    gateway: ID,
    tls_pins: vector<vector<u8>>,
}

public struct GatewayAttested has copy, drop {
    cluster: ID,
    gateway: ID,
    measurement: vector<u8>,
    attestation: Attestation,
}

// === Creating a cluster ===

/// Checks and puts together a set of parameters; nothing is stored. Anybody may call it.
/// `tier_stakes_mist` and `tier_permissions` have three elements each: basic, standard, premium.
///
/// Aborts with `ETierCount`, `ETierOrder`, `ETierPermissions`, `ENoWorkerTier`, `EMinimumStakeOutOfBounds`,
/// `EMinimumBelowWorkerTier`, `EMinimumTopUpOutOfBounds`, `EUnbondingOutOfBounds`, `ETokenLifeOutOfBounds`,
/// `ESlasherCount`, `EDuplicateSlasher`, `EThresholdOutOfBounds`, `EProposalLifeOutOfBounds`, `EChallengeOutOfBounds`,
/// `EZeroTreasury`.
public fun new_parameters(
    minimum_stake_mist: u64,
    minimum_top_up_mist: u64,
    tier_stakes_mist: vector<u64>,
    tier_permissions: vector<vector<String>>,
    unbonding_ms: u64,
    maximum_token_epochs: u64,
    slashers: vector<address>,
    slash_threshold: u64,
    proposal_life_ms: u64,
    challenge_ms: u64,
    treasury: address,
): Parameters {
    let tiers = new_tiers(tier_stakes_mist, tier_permissions);
    let (has_worker_tier, worker_tier) = worker_tier(&tiers);
    assert!(has_worker_tier, ENoWorkerTier);
    assert!(minimum_stake_mist <= MAX_STAKE_MIST, EMinimumStakeOutOfBounds);
    assert!(minimum_stake_mist >= tiers[worker_tier].stake_mist, EMinimumBelowWorkerTier);
    assert!(
        minimum_top_up_mist > 0 && minimum_top_up_mist <= MAX_STAKE_MIST,
        EMinimumTopUpOutOfBounds,
    );
    assert!(
        unbonding_ms >= MIN_UNBONDING_MS && unbonding_ms <= MAX_UNBONDING_MS,
        EUnbondingOutOfBounds,
    );
    assert!(
        maximum_token_epochs > 0 && maximum_token_epochs <= MAX_TOKEN_EPOCHS,
        ETokenLifeOutOfBounds,
    );
    assert_slashers(&slashers);
    assert!(slash_threshold > 0 && slash_threshold <= slashers.length(), EThresholdOutOfBounds);
    assert!(
        proposal_life_ms >= MIN_PROPOSAL_LIFE_MS && proposal_life_ms <= unbonding_ms / HOLD_DIVISOR,
        EProposalLifeOutOfBounds,
    );
    assert!(challenge_ms <= proposal_life_ms / CHALLENGE_DIVISOR, EChallengeOutOfBounds);
    assert!(treasury != @0x0, EZeroTreasury);
    Parameters {
        minimum_stake_mist,
        minimum_top_up_mist,
        tiers,
        unbonding_ms,
        maximum_token_epochs,
        slashers,
        slash_threshold,
        proposal_life_ms,
        challenge_ms,
        treasury,
    }
}

/// Makes a cluster whose admin is the sender. Anybody may call it: a cluster binds only those who stake in it.
/// Emits `ClusterCreated`. Returns the cluster: what else it needs from the start can be said in the same transaction,
/// which must end by `share`.
public fun create_cluster(parameters: Parameters, ctx: &mut TxContext): Cluster {
    let cluster = Cluster {
        id: object::new(ctx),
        version: VERSION,
        admin: ctx.sender(),
        offered_admin: option::none(),
        parameters,
        pending: option::none(),
        earlier_unlock_ms: 0,
        terms_version: 1,
        servers: vector[],
        ca_hashes: vector[],
        gateways: vector[],
        nodes: table::new(ctx),
        change_seq: 0,
        node_rings: new_rings(),
        account_rings: new_rings(),
    };
    event::emit(ClusterCreated {
        cluster: object::id(&cluster),
        admin: cluster.admin,
        parameters,
    });
    cluster
}

/// Makes a new cluster reachable for everybody: the last step of the transaction that made it.
public fun share(cluster: Cluster) { transfer::share_object(cluster); }

// === Admin ===

/// Offers the admin role, for a week. Nothing changes until the new address accepts; a new offer replaces the last one
/// (to take an offer back, offer the role to yourself). Only the admin: `ENotAdmin`. Emits `AdminOffered`.
public fun offer_admin(cluster: &mut Cluster, new_admin: address, clock: &Clock, ctx: &TxContext) {
    assert_admin(cluster, ctx);
    let expires_at_ms = clock.timestamp_ms() + OFFER_LIFE_MS;
    cluster.offered_admin = option::some(AdminOffer { to: new_admin, expires_at_ms });
    event::emit(AdminOffered {
        cluster: object::id(cluster),
        admin: cluster.admin,
        offered_to: new_admin,
        expires_at_ms,
    });
}

/// Takes the admin role over. Only the address it was offered to: `ENotOfferedAdmin`. Aborts with `EOfferExpired`.
/// Emits `AdminChanged`.
public fun accept_admin(cluster: &mut Cluster, clock: &Clock, ctx: &TxContext) {
    assert_version(cluster);
    assert!(cluster.offered_admin.is_some(), ENotOfferedAdmin);
    let offer = *cluster.offered_admin.borrow();
    assert!(ctx.sender() == offer.to, ENotOfferedAdmin);
    assert!(clock.timestamp_ms() < offer.expires_at_ms, EOfferExpired);
    let previous = cluster.admin;
    cluster.admin = offer.to;
    cluster.offered_admin = option::none();
    event::emit(AdminChanged { cluster: object::id(cluster), previous, admin: cluster.admin });
}

/// Announces new parameters. They are in force from now + the unbonding time in force + one day on, so that all who
/// disagree can be out before; and not before everybody is out who unbonds under earlier, longer terms. One change
/// pends at a time: another call replaces it and starts the delay anew. A new treasury must call `accept_treasury`
/// before that time, or the old one stays. Raises `terms_version`.
/// Only the admin: `ENotAdmin`. Emits `ParametersScheduled`, and `ParametersReplaced` or `ParametersInForce` for what
/// pended before.
public fun schedule_parameters(
    cluster: &mut Cluster,
    parameters: Parameters,
    clock: &Clock,
    ctx: &TxContext,
) {
    assert_admin(cluster, ctx);
    let now_ms = clock.timestamp_ms();
    settle(cluster, now_ms);
    let all_could_leave_ms = now_ms + cluster.parameters.unbonding_ms + DAY_MS;
    let earlier_ms = cluster.earlier_unlock_ms;
    let effective_at_ms = if (all_could_leave_ms > earlier_ms) all_could_leave_ms else earlier_ms;
    let treasury_accepted = parameters.treasury == cluster.parameters.treasury;
    note_replaced(cluster);
    cluster.pending =
        option::some(PendingParameters { parameters, effective_at_ms, treasury_accepted });
    event::emit(ParametersScheduled {
        cluster: object::id(cluster),
        parameters,
        effective_at_ms,
        treasury_accepted,
        terms_version: raise_terms_version(cluster),
    });
}

/// Moves announced parameters whose time has come to their place. This changes nothing that counts (see
/// `parameters_at`); it says it by an event, and makes the cluster smaller. Does nothing when none are due. Anybody may
/// call it. Emits `ParametersInForce`.
public fun settle_parameters(cluster: &mut Cluster, clock: &Clock) {
    assert_version(cluster);
    settle(cluster, clock.timestamp_ms());
}

/// Agrees to receive the slashed coins once the pending change is in force. Raises `terms_version`. Only the new
/// treasury address: `ENotNewTreasury`. Aborts with `ENoTreasuryToAccept` when no change pends that names a treasury
/// which has not accepted yet, or when it has come into force without. Emits `TreasuryAccepted`.
public fun accept_treasury(cluster: &mut Cluster, clock: &Clock, ctx: &TxContext) {
    assert_version(cluster);
    assert!(cluster.pending.is_some(), ENoTreasuryToAccept);
    let pending = cluster.pending.borrow_mut();
    assert!(
        !pending.treasury_accepted && clock.timestamp_ms() < pending.effective_at_ms,
        ENoTreasuryToAccept,
    );
    let treasury = pending.parameters.treasury;
    let effective_at_ms = pending.effective_at_ms;
    assert!(ctx.sender() == treasury, ENotNewTreasury);
    pending.treasury_accepted = true;
    event::emit(TreasuryAccepted {
        cluster: object::id(cluster),
        treasury,
        effective_at_ms,
        terms_version: raise_terms_version(cluster),
    });
}

/// Takes a slasher out at once, from the parameters in force and from those that pend. Votes already given count no
/// more. With fewer slashers left than the threshold, no stake can be slashed until new parameters are in force.
/// Raises `terms_version`. Only the admin: `ENotAdmin`. Aborts with `ENotASlasher`. Emits `SlasherRemoved`.
public fun remove_slasher(cluster: &mut Cluster, slasher: address, clock: &Clock, ctx: &TxContext) {
    assert_admin(cluster, ctx);
    settle(cluster, clock.timestamp_ms());
    let mut found = take_out(&mut cluster.parameters.slashers, slasher);
    if (cluster.pending.is_some()) {
        let pending = cluster.pending.borrow_mut();
        found = take_out(&mut pending.parameters.slashers, slasher) || found;
    };
    assert!(found, ENotASlasher);
    event::emit(SlasherRemoved {
        cluster: object::id(cluster),
        slasher,
        terms_version: raise_terms_version(cluster),
    });
}

/// Raises the slash threshold in force at once; parameters that pend stay as announced. Raises `terms_version`.
/// Only the admin: `ENotAdmin`. Aborts with `EThresholdNotRaised` unless the new threshold is above the one in force
/// and not above the number of slashers in force. Emits `SlashThresholdRaised`.
public fun raise_slash_threshold(
    cluster: &mut Cluster,
    slash_threshold: u64,
    clock: &Clock,
    ctx: &TxContext,
) {
    assert_admin(cluster, ctx);
    settle(cluster, clock.timestamp_ms());
    assert!(
        slash_threshold > cluster.parameters.slash_threshold
            && slash_threshold <= cluster.parameters.slashers.length(),
        EThresholdNotRaised,
    );
    cluster.parameters.slash_threshold = slash_threshold;
    event::emit(SlashThresholdRaised {
        cluster: object::id(cluster),
        slash_threshold,
        terms_version: raise_terms_version(cluster),
    });
}

/// Says which servers a worker may join, and the CA hashes that their certificates must lead to. Empty lists mean
/// that workers cannot check. Only the admin: `ENotAdmin`. Aborts with `EServers`, `ECaHashes`. Emits `ServersChanged`.
public fun set_servers(
    cluster: &mut Cluster,
    servers: vector<String>,
    ca_hashes: vector<vector<u8>>,
    ctx: &TxContext,
) {
    assert_admin(cluster, ctx);
    assert_servers(&servers);
    assert!(are_hashes(&ca_hashes), ECaHashes);
    cluster.servers = servers;
    cluster.ca_hashes = ca_hashes;
    event::emit(ServersChanged { cluster: object::id(cluster), servers, ca_hashes });
}

/// Keeps a node id for one address, in place of an earlier reservation: only it can stake for that name from now on.
/// A record that holds the name goes on holding it (see `staking::force_unstake`).
/// Only the admin: `ENotAdmin`. Aborts with `EInvalidNodeId`. Emits `NodeIdReserved`.
public fun reserve_node_id(
    cluster: &mut Cluster,
    node_id: String,
    reserved_for: address,
    ctx: &TxContext,
) {
    assert_admin(cluster, ctx);
    assert!(is_node_id(&node_id), EInvalidNodeId);
    let key = Reservation { node_id };
    if (field::exists_(&cluster.id, key)) {
        field::remove<Reservation, address>(&mut cluster.id, key);
    };
    field::add(&mut cluster.id, key, reserved_for);
    event::emit(NodeIdReserved { cluster: object::id(cluster), node_id, reserved_for });
}

/// Ends the reservation of a node id. Only the admin: `ENotAdmin`. Aborts with `ENodeIdNotReserved`. Emits
/// `NodeIdUnreserved`.
public fun unreserve_node_id(cluster: &mut Cluster, node_id: String, ctx: &TxContext) {
    assert_admin(cluster, ctx);
    let key = Reservation { node_id };
    assert!(field::exists_(&cluster.id, key), ENodeIdNotReserved);
    field::remove<Reservation, address>(&mut cluster.id, key);
    event::emit(NodeIdUnreserved { cluster: object::id(cluster), node_id });
}

// === Gateways ===

/// Adds a gateway, live from now on. Returns its id, the audience of the proofs it accepts.
/// Only the admin: `ENotAdmin`. Aborts with `EEndpoint`, `ETlsPins`, `EAttestation`, `ESigningKey`, `ENoSuchTier`,
/// `ETooManyGateways`, `EGatewayExists` (the same endpoint or signing key). Emits `GatewayRegistered`.
public fun register_gateway(
    cluster: &mut Cluster,
    endpoint: String,
    tls_pins: vector<vector<u8>>,
    attestation_kind: String,
    attestation_measurement: vector<u8>,
    signing_key: vector<u8>,
    tier: u8,
    ctx: &mut TxContext,
): ID {
    assert_admin(cluster, ctx);
    assert!(is_https_url(&endpoint), EEndpoint);
    assert!(are_hashes(&tls_pins), ETlsPins);
    assert!(
        is_attestation_kind(&attestation_kind)
            && attestation_measurement.length() <= MAX_MEASUREMENT_LENGTH,
        EAttestation,
    );
    assert!(signing_key.length() == 32, ESigningKey);
    assert!((tier as u64) < TIER_COUNT, ENoSuchTier);
    assert!(cluster.gateways.length() < MAX_GATEWAYS, ETooManyGateways);
    assert!(!has_gateway(cluster, &endpoint, &signing_key), EGatewayExists);
    let id = object::id_from_address(ctx.fresh_object_address());
    let gateway = Gateway {
        id,
        endpoint,
        tls_pins,
        attestation_kind,
        attestation_measurement,
        signing_key,
        tier,
        status: GATEWAY_LIVE,
        attestation: option::none(),
    };
    cluster.gateways.push_back(gateway);
    event::emit(GatewayRegistered { cluster: object::id(cluster), gateway });
    id
}

/// Sets a gateway live (0), draining (1: serves the workers it has, gets no new ones) or retired (2: leaves the list
/// for good). Only the admin: `ENotAdmin`. Aborts with `ENoSuchGateway`, `ENoSuchStatus`. Emits `GatewayStatusChanged`.
public fun set_gateway_status(cluster: &mut Cluster, gateway: ID, status: u8, ctx: &TxContext) {
    assert_admin(cluster, ctx);
    assert!(status <= GATEWAY_RETIRED, ENoSuchStatus);
    let index = gateway_index(cluster, gateway);
    if (status == GATEWAY_RETIRED) {
        cluster.gateways.remove(index);
    } else {
        cluster.gateways[index].status = status;
    };
    event::emit(GatewayStatusChanged { cluster: object::id(cluster), gateway, status });
}

/// Replaces the TLS pins of a gateway. Only the admin: `ENotAdmin`. Aborts with `ENoSuchGateway`, `ETlsPins`.
/// Emits `GatewayPinsChanged`.
public fun set_gateway_pins(
    cluster: &mut Cluster,
    gateway: ID,
    tls_pins: vector<vector<u8>>,
    ctx: &TxContext,
) {
    assert_admin(cluster, ctx);
    assert!(are_hashes(&tls_pins), ETlsPins);
    let index = gateway_index(cluster, gateway);
    cluster.gateways[index].tls_pins = tls_pins;
    event::emit(GatewayPinsChanged { cluster: object::id(cluster), gateway, tls_pins });
}

// === Rules that are pure functions ===

/// The parameters in force at a time: a function of what is stored and the time alone, so that every reader comes to
/// the same, whether or not a call has settled a change.
public fun parameters_at(cluster: &Cluster, now_ms: u64): Parameters {
    if (cluster.pending.is_some()) {
        let pending = cluster.pending.borrow();
        if (now_ms >= pending.effective_at_ms) {
            let mut parameters = pending.parameters;
            if (!pending.treasury_accepted) parameters.treasury = cluster.parameters.treasury;
            return parameters
        }
    };
    cluster.parameters
}

/// The highest tier that a stake reaches: 0 basic (also below the first tier), 1 standard, 2 premium.
public fun tier_of(parameters: &Parameters, stake_mist: u64): u8 {
    if (stake_mist >= parameters.tiers[2].stake_mist) 2
    else if (stake_mist >= parameters.tiers[1].stake_mist) 1
    else 0
}

/// All permissions that a stake of this size has, lowest tier first; none below the first tier.
public fun permissions_of(parameters: &Parameters, stake_mist: u64): vector<String> {
    let mut permissions = vector[];
    let mut i = 0;
    while (i < TIER_COUNT && stake_mist >= parameters.tiers[i].stake_mist) {
        permissions.append(parameters.tiers[i].permissions);
        i = i + 1;
    };
    permissions
}

/// Whether a list of permissions covers one: it names it, or names `*:*`.
public fun covers(permissions: &vector<String>, permission: &String): bool {
    permissions.contains(permission) || permissions.contains(&b"*:*".to_string())
}

/// Whether a string is a permission: `resource:verb`, at most 64 bytes, each side `*` or made of a-z, 0-9, `.`, `-`
/// and `/`.
public fun is_permission(permission: &String): bool {
    let bytes = permission.as_bytes();
    let length = bytes.length();
    if (length > MAX_PERMISSION_LENGTH) return false;
    let mut colon = 0;
    while (colon < length && bytes[colon] != 58) colon = colon + 1;
    is_permission_part(bytes, 0, colon) && is_permission_part(bytes, colon + 1, length)
}

/// Whether a string is a node id: one lower-case DNS label.
public fun is_node_id(node_id: &String): bool {
    let bytes = node_id.as_bytes();
    let length = bytes.length();
    if (length == 0 || length > MAX_NODE_ID_LENGTH) return false;
    let mut i = 0;
    while (i < length) {
        let hyphen_inside = bytes[i] == 45 && i > 0 && i + 1 < length;
        if (!hyphen_inside && !is_lower_alphanumeric(bytes[i])) return false;
        i = i + 1;
    };
    true
}

/// Until when an open proposal can hold a stake that unlocks then: a quarter of the unbonding time longer.
public(package) fun hold_until(unlock_at_ms: u64, unbonding_ms: u64): u64 {
    unlock_at_ms + unbonding_ms / HOLD_DIVISOR
}

/// The longest challenge time there can be while a proposal holds a stake for so long.
public(package) fun longest_challenge_ms(hold_ms: u64): u64 { hold_ms / CHALLENGE_DIVISOR }

/// The largest stake a record can have.
public fun maximum_stake_mist(): u64 { MAX_STAKE_MIST }

// === For the other modules ===

/// Whether this package may change the cluster.
public(package) fun has_version(cluster: &Cluster): bool { cluster.version == VERSION }

/// Aborts with `EWrongVersion` unless this package may change the cluster.
public(package) fun assert_version(cluster: &Cluster) {
    assert!(has_version(cluster), EWrongVersion);
}

/// Aborts with `EWrongVersion`, and with `ENotAdmin` unless the sender is the admin.
public(package) fun assert_admin(cluster: &Cluster, ctx: &TxContext) {
    assert_version(cluster);
    assert!(ctx.sender() == cluster.admin, ENotAdmin);
}

/// Gives a node id to a record of that staker. Aborts with `EInvalidNodeId`, `ENodeIdTaken`, `ENodeIdReserved`.
public(package) fun claim_node_id(
    cluster: &mut Cluster,
    node_id: String,
    record: ID,
    staker: address,
) {
    assert!(is_node_id(&node_id), EInvalidNodeId);
    assert!(!cluster.nodes.contains(node_id), ENodeIdTaken);
    let reserved_for = reserved_for(cluster, node_id);
    assert!(reserved_for.is_none() || reserved_for.contains(&staker), ENodeIdReserved);
    cluster.nodes.add(node_id, record);
}

/// Makes a node id free again.
public(package) fun release_node_id(cluster: &mut Cluster, node_id: String) {
    cluster.nodes.remove(node_id);
}

/// Stores what an enclave has shown for a gateway, in place of what was there. Aborts with `ENoSuchGateway`. Emits
/// `GatewayAttested`.
public(package) fun attest_gateway(
    cluster: &mut Cluster,
    gateway: ID,
    enclave_key: vector<u8>,
    attested_at_ms: u64,
    expires_at_ms: u64,
) {
    let index = gateway_index(cluster, gateway);
    let attestation = Attestation { enclave_key, attested_at_ms, expires_at_ms };
    cluster.gateways[index].attestation = option::some(attestation);
    event::emit(GatewayAttested {
        cluster: object::id(cluster),
        gateway,
        measurement: cluster.gateways[index].attestation_measurement,
        attestation,
    });
}

/// Notes a slash or forced unstake of a record. Returns the sequence of the change.
public(package) fun note_forced(cluster: &mut Cluster, record: ID, is_node: bool): u64 {
    let entry = next_entry(cluster, record);
    note(&mut rings_mut(cluster, is_node).forced, capacity(is_node), entry);
    entry.sequence
}

/// Notes an unstake, withdrawal or revocation that the staker signed. Returns the sequence of the change.
public(package) fun note_ended(cluster: &mut Cluster, record: ID, is_node: bool): u64 {
    let entry = next_entry(cluster, record);
    note(&mut rings_mut(cluster, is_node).ended, capacity(is_node), entry);
    entry.sequence
}

/// Notes any other change of a record. Returns the sequence of the change.
public(package) fun note_other(cluster: &mut Cluster, record: ID, is_node: bool): u64 {
    let entry = next_entry(cluster, record);
    note(&mut rings_mut(cluster, is_node).other, capacity(is_node), entry);
    entry.sequence
}

// === Accessors ===

public fun version(cluster: &Cluster): u64 { cluster.version }

public fun admin(cluster: &Cluster): address { cluster.admin }

public fun offered_admin(cluster: &Cluster): Option<AdminOffer> { cluster.offered_admin }

public fun offered_to(offer: &AdminOffer): address { offer.to }

public fun offer_expires_at_ms(offer: &AdminOffer): u64 { offer.expires_at_ms }

/// The stored parameters; in force only until those that pend take effect. Mostly `parameters_at` is what you want.
public fun stored_parameters(cluster: &Cluster): &Parameters { &cluster.parameters }

public fun pending(cluster: &Cluster): &Option<PendingParameters> { &cluster.pending }

public fun earlier_unlock_ms(cluster: &Cluster): u64 { cluster.earlier_unlock_ms }

public fun terms_version(cluster: &Cluster): u64 { cluster.terms_version }

public fun servers(cluster: &Cluster): &vector<String> { &cluster.servers }

public fun ca_hashes(cluster: &Cluster): &vector<vector<u8>> { &cluster.ca_hashes }

public fun gateways(cluster: &Cluster): &vector<Gateway> { &cluster.gateways }

/// Aborts with `ENoSuchGateway`.
public(package) fun gateway(cluster: &Cluster, gateway: ID): &Gateway {
    &cluster.gateways[gateway_index(cluster, gateway)]
}

public fun change_seq(cluster: &Cluster): u64 { cluster.change_seq }

public fun node_rings(cluster: &Cluster): &Rings { &cluster.node_rings }

public fun account_rings(cluster: &Cluster): &Rings { &cluster.account_rings }

public fun forced(rings: &Rings): &Ring { &rings.forced }

public fun ended(rings: &Rings): &Ring { &rings.ended }

public fun other(rings: &Rings): &Ring { &rings.other }

public fun entries(ring: &Ring): &vector<RingEntry> { &ring.entries }

public fun dropped_seq(ring: &Ring): u64 { ring.dropped_seq }

/// How many node ids are taken.
public fun node_count(cluster: &Cluster): u64 { cluster.nodes.length() }

/// The record that holds a node id now.
public fun record_of_node(cluster: &Cluster, node_id: String): Option<ID> {
    if (cluster.nodes.contains(node_id)) option::some(cluster.nodes[node_id]) else option::none()
}

/// The address a node id is reserved for.
public fun reserved_for(cluster: &Cluster, node_id: String): Option<address> {
    let key = Reservation { node_id };
    if (field::exists_(&cluster.id, key)) option::some(*field::borrow(&cluster.id, key))
    else option::none()
}

public fun minimum_stake_mist(parameters: &Parameters): u64 { parameters.minimum_stake_mist }

public fun minimum_top_up_mist(parameters: &Parameters): u64 { parameters.minimum_top_up_mist }

public fun tiers(parameters: &Parameters): &vector<Tier> { &parameters.tiers }

public fun unbonding_ms(parameters: &Parameters): u64 { parameters.unbonding_ms }

public fun maximum_token_epochs(parameters: &Parameters): u64 { parameters.maximum_token_epochs }

public fun slashers(parameters: &Parameters): &vector<address> { &parameters.slashers }

public fun slash_threshold(parameters: &Parameters): u64 { parameters.slash_threshold }

public fun proposal_life_ms(parameters: &Parameters): u64 { parameters.proposal_life_ms }

public fun challenge_ms(parameters: &Parameters): u64 { parameters.challenge_ms }

public fun treasury(parameters: &Parameters): address { parameters.treasury }

public fun tier_stake_mist(tier: &Tier): u64 { tier.stake_mist }

public fun tier_permissions(tier: &Tier): &vector<String> { &tier.permissions }

public fun pending_parameters(pending: &PendingParameters): &Parameters { &pending.parameters }

public fun effective_at_ms(pending: &PendingParameters): u64 { pending.effective_at_ms }

public fun treasury_accepted(pending: &PendingParameters): bool { pending.treasury_accepted }

public fun gateway_id(gateway: &Gateway): ID { gateway.id }

public fun endpoint(gateway: &Gateway): &String { &gateway.endpoint }

public fun tls_pins(gateway: &Gateway): &vector<vector<u8>> { &gateway.tls_pins }

public fun attestation_kind(gateway: &Gateway): &String { &gateway.attestation_kind }

public fun attestation_measurement(gateway: &Gateway): &vector<u8> {
    &gateway.attestation_measurement
}

public fun signing_key(gateway: &Gateway): &vector<u8> { &gateway.signing_key }

public fun gateway_tier(gateway: &Gateway): u8 { gateway.tier }

public fun gateway_status(gateway: &Gateway): u8 { gateway.status }

public fun attestation(gateway: &Gateway): &Option<Attestation> { &gateway.attestation }

public fun enclave_key(attestation: &Attestation): &vector<u8> { &attestation.enclave_key }

public fun attested_at_ms(attestation: &Attestation): u64 { attestation.attested_at_ms }

public fun attestation_expires_at_ms(attestation: &Attestation): u64 { attestation.expires_at_ms }

public fun entry_record(entry: &RingEntry): ID { entry.record }

public fun entry_sequence(entry: &RingEntry): u64 { entry.sequence }

// === Internals ===

/// Moves a change that has come into force from `pending` to `parameters`. Changes nothing that `parameters_at`
/// answers for now or later.
fun settle(cluster: &mut Cluster, now_ms: u64) {
    if (cluster.pending.is_none()) return;
    let effective_at_ms = cluster.pending.borrow().effective_at_ms;
    if (now_ms >= effective_at_ms) {
        cluster.earlier_unlock_ms = effective_at_ms + cluster.parameters.unbonding_ms;
        cluster.parameters = parameters_at(cluster, now_ms);
        cluster.pending = option::none();
        event::emit(ParametersInForce {
            cluster: object::id(cluster),
            parameters: cluster.parameters,
            effective_at_ms,
        });
    }
}

/// Says that what pends gives way to another change.
fun note_replaced(cluster: &Cluster) {
    if (cluster.pending.is_none()) return;
    let pending = cluster.pending.borrow();
    event::emit(ParametersReplaced {
        cluster: object::id(cluster),
        parameters: pending.parameters,
        effective_at_ms: pending.effective_at_ms,
    });
}

fun raise_terms_version(cluster: &mut Cluster): u64 {
    cluster.terms_version = cluster.terms_version + 1;
    cluster.terms_version
}

fun new_rings(): Rings { Rings { forced: new_ring(), ended: new_ring(), other: new_ring() } }

fun new_ring(): Ring { Ring { entries: vector[], dropped_seq: 0 } }

fun rings_mut(cluster: &mut Cluster, is_node: bool): &mut Rings {
    if (is_node) &mut cluster.node_rings else &mut cluster.account_rings
}

fun capacity(is_node: bool): u64 { if (is_node) NODE_RING_CAPACITY else ACCOUNT_RING_CAPACITY }

fun next_entry(cluster: &mut Cluster, record: ID): RingEntry {
    cluster.change_seq = cluster.change_seq + 1;
    RingEntry { record, sequence: cluster.change_seq }
}

/// Puts an entry at the end of a ring, drops the earlier one of the same record, and, from a full ring, the oldest.
fun note(ring: &mut Ring, capacity: u64, entry: RingEntry) {
    let mut i = ring.entries.length();
    while (i > 0) {
        i = i - 1;
        if (ring.entries[i].record == entry.record) {
            ring.entries.remove(i);
            break
        }
    };
    if (ring.entries.length() == capacity) ring.dropped_seq = ring.entries.remove(0).sequence;
    ring.entries.push_back(entry);
}

fun new_tiers(stakes_mist: vector<u64>, permissions: vector<vector<String>>): vector<Tier> {
    assert!(stakes_mist.length() == TIER_COUNT && permissions.length() == TIER_COUNT, ETierCount);
    let mut tiers = vector[];
    let mut seen: vector<String> = vector[];
    let mut previous = 0;
    let mut i = 0;
    while (i < TIER_COUNT) {
        let stake_mist = stakes_mist[i];
        assert!(stake_mist > previous && stake_mist <= MAX_STAKE_MIST, ETierOrder);
        previous = stake_mist;
        let granted = permissions[i];
        assert!(!granted.is_empty() && granted.length() <= MAX_TIER_PERMISSIONS, ETierPermissions);
        let mut j = 0;
        while (j < granted.length()) {
            let permission = granted[j];
            assert!(is_permission(&permission) && !seen.contains(&permission), ETierPermissions);
            seen.push_back(permission);
            j = j + 1;
        };
        tiers.push_back(Tier { stake_mist, permissions: granted });
        i = i + 1;
    };
    tiers
}

/// Whether a tier names `nodes:write`, and the index of the first that does. `*:*` alone does not make one: what a
/// worker needs is named explicitly.
fun worker_tier(tiers: &vector<Tier>): (bool, u64) {
    let permission = b"nodes:write".to_string();
    let mut i = 0;
    while (i < TIER_COUNT) {
        if (tiers[i].permissions.contains(&permission)) return (true, i);
        i = i + 1;
    };
    (false, 0)
}

fun assert_slashers(slashers: &vector<address>) {
    let count = slashers.length();
    assert!(count > 0 && count <= MAX_SLASHERS, ESlasherCount);
    let mut seen = vector[];
    let mut i = 0;
    while (i < count) {
        assert!(!seen.contains(&slashers[i]), EDuplicateSlasher);
        seen.push_back(slashers[i]);
        i = i + 1;
    }
}

fun assert_servers(servers: &vector<String>) {
    let count = servers.length();
    assert!(count <= MAX_SERVERS, EServers);
    let mut i = 0;
    while (i < count) {
        let (_, first) = servers.index_of(&servers[i]);
        assert!(is_https_url(&servers[i]) && first == i, EServers);
        i = i + 1;
    }
}

/// Whether these are at most two different SHA-256 hashes.
fun are_hashes(hashes: &vector<vector<u8>>): bool {
    let count = hashes.length();
    if (count > MAX_HASHES) return false;
    let mut i = 0;
    while (i < count) {
        if (hashes[i].length() != HASH_LENGTH) return false;
        i = i + 1;
    };
    count < MAX_HASHES || hashes[0] != hashes[1]
}

fun is_https_url(url: &String): bool {
    let bytes = url.as_bytes();
    let length = bytes.length();
    let prefix = b"https://";
    if (length <= prefix.length() || length > MAX_ENDPOINT_LENGTH) return false;
    let mut i = 0;
    while (i < length) {
        let byte = bytes[i];
        if (byte < 33 || byte > 126) return false;
        if (i < prefix.length() && byte != prefix[i]) return false;
        i = i + 1;
    };
    true
}

fun is_attestation_kind(kind: &String): bool {
    let bytes = kind.as_bytes();
    let length = bytes.length();
    if (length == 0 || length > MAX_ATTESTATION_KIND_LENGTH) return false;
    let mut i = 0;
    while (i < length) {
        if (!is_lower_alphanumeric(bytes[i]) && bytes[i] != 45) return false;
        i = i + 1;
    };
    true
}

/// Whether bytes `from` (inclusive) to `to` (exclusive) are `*` or a non-empty run of allowed characters.
fun is_permission_part(bytes: &vector<u8>, from: u64, to: u64): bool {
    if (from >= to) return false;
    if (to - from == 1 && bytes[from] == 42) return true;
    let mut i = from;
    while (i < to) {
        let byte = bytes[i];
        // '-', '.' and '/' follow each other in ASCII.
        if (!is_lower_alphanumeric(byte) && (byte < 45 || byte > 47)) return false;
        i = i + 1;
    };
    true
}

/// a-z or 0-9.
public(package) fun is_lower_alphanumeric(byte: u8): bool {
    (byte >= 97 && byte <= 122) || (byte >= 48 && byte <= 57)
}

/// Removes an address from a list of different ones, keeping the order of the rest; false if it was not there.
fun take_out(addresses: &mut vector<address>, one: address): bool {
    let (found, index) = addresses.index_of(&one);
    if (found) {
        addresses.remove(index);
    };
    found
}

fun has_gateway(cluster: &Cluster, endpoint: &String, signing_key: &vector<u8>): bool {
    let mut i = 0;
    while (i < cluster.gateways.length()) {
        let gateway = &cluster.gateways[i];
        if (&gateway.endpoint == endpoint || &gateway.signing_key == signing_key) return true;
        i = i + 1;
    };
    false
}

fun gateway_index(cluster: &Cluster, gateway: ID): u64 {
    let mut i = 0;
    while (i < cluster.gateways.length()) {
        if (cluster.gateways[i].id == gateway) return i;
        i = i + 1;
    };
    abort ENoSuchGateway
}

#[test_only]
public fun set_version_for_testing(cluster: &mut Cluster, version: u64) {
    cluster.version = version;
}
