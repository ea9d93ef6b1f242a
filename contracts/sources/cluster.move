// Functions that make no object take `&TxContext`: it says so, and the package is not meant to be upgraded.

/// A cluster: the one shared object an operator has for one Kubernetes cluster, named by its id everywhere else.
///
/// It holds what all stakers of the cluster agree to (the parameters, and the change that pends), who may do what
/// (admin, slashers), the gateways a worker may talk to, which node ids are taken, and the two change rings by which
/// a reader learns from this one object which stake records have changed.
///
/// This module knows nothing of stakes, slashes or tokens: the others come to it.
#[allow(lint(prefer_mut_tx_context))]
module k3s_daas::cluster;

use std::string::String;
use sui::clock::Clock;
use sui::event;
use sui::table::{Self, Table};

// === Errors ===

#[error]
const ENotAdmin: vector<u8> = b"The sender is not the admin of this cluster";
#[error]
const ENotOfferedAdmin: vector<u8> =
    b"The sender is not the address to which the admin role was offered";
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
const ENoSuchGateway: vector<u8> = b"No gateway of this cluster has that id";
#[error]
const ENoSuchStatus: vector<u8> =
    b"The status of a gateway must be 0 (live), 1 (draining) or 2 (retired)";
#[error]
const ENodeIdTaken: vector<u8> = b"A live stake record of this cluster holds that node id already";

// === Bounds ===

/// The largest stake, minimum or tier, in MIST: 10^18, a tenth of all SUI. Two of them fit into a u64 many times.
const MAX_STAKE_MIST: u64 = 1_000_000_000_000_000_000;
const MIN_UNBONDING_MS: u64 = 60_000;
const MAX_UNBONDING_MS: u64 = 31_536_000_000;
const MAX_TOKEN_EPOCHS: u64 = 1_000;
const MIN_PROPOSAL_LIFE_MS: u64 = 1_000;
const MAX_SLASHERS: u64 = 16;
const MAX_GATEWAYS: u64 = 32;
const MAX_ENDPOINT_LENGTH: u64 = 256;
const MAX_TLS_PINS: u64 = 2;
const MAX_ATTESTATION_KIND_LENGTH: u64 = 32;
const MAX_MEASUREMENT_LENGTH: u64 = 128;
const MAX_TIER_PERMISSIONS: u64 = 16;
const MAX_PERMISSION_LENGTH: u64 = 64;
const TIER_COUNT: u64 = 3;
const RING_CAPACITY: u64 = 256;
/// A parameter change counts this long after everybody could have left.
const DAY_MS: u64 = 86_400_000;
/// An unbonding stake is held by a proposal at most a quarter of its unbonding time longer.
const HOLD_DIVISOR: u64 = 4;

const GATEWAY_LIVE: u8 = 0;
const GATEWAY_RETIRED: u8 = 2;

// === Structs ===

/// Shared; one per Kubernetes cluster. Everything a watcher needs is in this object, except the table's entries.
public struct Cluster has key {
    id: UID,
    /// Schedules parameters, registers gateways, may force a record into unbonding. Never touches coins.
    admin: address,
    /// To whom the admin role is offered, until accepted.
    offered_admin: Option<address>,
    /// In force unless `pending` has come into effect: ask `parameters_at`.
    parameters: Parameters,
    pending: Option<PendingParameters>,
    /// By then every stake is unlocked that began to unbond under parameters before the stored ones: no later change
    /// may count earlier, or a shortened unbonding time would bring it to those who cannot leave any more.
    earlier_unlock_ms: u64,
    /// Live and draining gateways, in the order of registration. A retired one leaves the list.
    gateways: vector<Gateway>,
    /// Node id to stake record, of active records only.
    nodes: Table<String, ID>,
    /// Number of the last change of a stake record of this cluster; the first is 1.
    change_seq: u64,
    /// Records by their last slash, unbonding, withdrawal or token revocation, oldest first.
    urgent_ring: vector<RingEntry>,
    /// The highest sequence that has fallen out of `urgent_ring`: who has read less far must make a full pass.
    urgent_dropped_seq: u64,
    /// Records by their last change of any other kind, oldest first.
    other_ring: vector<RingEntry>,
    other_dropped_seq: u64,
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
}

public struct TreasuryAccepted has copy, drop {
    cluster: ID,
    treasury: address,
    effective_at_ms: u64,
}

public struct SlasherRemoved has copy, drop {
    cluster: ID,
    slasher: address,
}

public struct SlashThresholdRaised has copy, drop {
    cluster: ID,
    slash_threshold: u64,
}

public struct AdminOffered has copy, drop {
    cluster: ID,
    admin: address,
    offered_to: address,
}

public struct AdminChanged has copy, drop {
    cluster: ID,
    previous: address,
    admin: address,
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

// === Creating a cluster ===

/// Checks and puts together a set of parameters; nothing is stored. Anybody may call it.
/// `tier_stakes_mist` and `tier_permissions` have three elements each: basic, standard, premium.
///
/// Aborts with `ETierCount`, `ETierOrder`, `ETierPermissions`, `ENoWorkerTier`, `EMinimumStakeOutOfBounds`,
/// `EMinimumBelowWorkerTier`, `EMinimumTopUpOutOfBounds`, `EUnbondingOutOfBounds`, `ETokenLifeOutOfBounds`,
/// `ESlasherCount`, `EDuplicateSlasher`, `EThresholdOutOfBounds`, `EProposalLifeOutOfBounds`, `EZeroTreasury`.
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
        treasury,
    }
}

/// Makes and shares a cluster whose admin is the sender. Anybody may call it: a cluster binds nobody but those who
/// stake in it. Emits `ClusterCreated`. Returns the cluster id.
public fun create_cluster(parameters: Parameters, ctx: &mut TxContext): ID {
    let cluster = Cluster {
        id: object::new(ctx),
        admin: ctx.sender(),
        offered_admin: option::none(),
        parameters,
        pending: option::none(),
        earlier_unlock_ms: 0,
        gateways: vector[],
        nodes: table::new(ctx),
        change_seq: 0,
        urgent_ring: vector[],
        urgent_dropped_seq: 0,
        other_ring: vector[],
        other_dropped_seq: 0,
    };
    let id = object::id(&cluster);
    event::emit(ClusterCreated { cluster: id, admin: cluster.admin, parameters });
    transfer::share_object(cluster);
    id
}

// === Admin ===

/// Offers the admin role. Nothing changes until the new address accepts; a new offer replaces the last one (to take
/// an offer back, offer the role to yourself). Only the admin: `ENotAdmin`. Emits `AdminOffered`.
public fun offer_admin(cluster: &mut Cluster, new_admin: address, ctx: &TxContext) {
    assert_admin(cluster, ctx);
    cluster.offered_admin = option::some(new_admin);
    event::emit(AdminOffered {
        cluster: object::id(cluster),
        admin: cluster.admin,
        offered_to: new_admin,
    });
}

/// Takes the admin role over. Only the address it was offered to: `ENotOfferedAdmin`. Emits `AdminChanged`.
public fun accept_admin(cluster: &mut Cluster, ctx: &TxContext) {
    assert!(cluster.offered_admin.contains(&ctx.sender()), ENotOfferedAdmin);
    let previous = cluster.admin;
    cluster.admin = ctx.sender();
    cluster.offered_admin = option::none();
    event::emit(AdminChanged { cluster: object::id(cluster), previous, admin: cluster.admin });
}

/// Announces new parameters. They are in force from now + the unbonding time in force + one day on, so that whoever
/// disagrees can be out before; and not before everybody is out who unbonds under earlier, longer terms. One change pends at a time: another call replaces it and starts the delay anew.
/// A new treasury must call `accept_treasury` before that time, or the old one stays.
/// Only the admin: `ENotAdmin`. Emits `ParametersScheduled`.
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
    cluster.pending =
        option::some(PendingParameters { parameters, effective_at_ms, treasury_accepted });
    event::emit(ParametersScheduled {
        cluster: object::id(cluster),
        parameters,
        effective_at_ms,
        treasury_accepted,
    });
}

/// Agrees to receive the slashed coins once the pending change is in force. Only the new treasury address:
/// `ENotNewTreasury`. Aborts with `ENoTreasuryToAccept` when no change pends that names a treasury which has not
/// accepted yet, or when it has come into force without. Emits `TreasuryAccepted`.
public fun accept_treasury(cluster: &mut Cluster, clock: &Clock, ctx: &TxContext) {
    let id = object::id(cluster);
    assert!(cluster.pending.is_some(), ENoTreasuryToAccept);
    let pending = cluster.pending.borrow_mut();
    assert!(
        !pending.treasury_accepted && clock.timestamp_ms() < pending.effective_at_ms,
        ENoTreasuryToAccept,
    );
    let treasury = pending.parameters.treasury;
    assert!(ctx.sender() == treasury, ENotNewTreasury);
    pending.treasury_accepted = true;
    event::emit(TreasuryAccepted {
        cluster: id,
        treasury,
        effective_at_ms: pending.effective_at_ms,
    });
}

/// Takes a slasher out at once, from the parameters in force and from those that pend. Votes already given count no
/// more. With fewer slashers left than the threshold, nobody can be slashed until new parameters are in force.
/// Only the admin: `ENotAdmin`. Aborts with `ENotASlasher`. Emits `SlasherRemoved`.
public fun remove_slasher(cluster: &mut Cluster, slasher: address, clock: &Clock, ctx: &TxContext) {
    assert_admin(cluster, ctx);
    settle(cluster, clock.timestamp_ms());
    let mut found = take_out(&mut cluster.parameters.slashers, slasher);
    if (cluster.pending.is_some()) {
        let pending = cluster.pending.borrow_mut();
        found = take_out(&mut pending.parameters.slashers, slasher) || found;
    };
    assert!(found, ENotASlasher);
    event::emit(SlasherRemoved { cluster: object::id(cluster), slasher });
}

/// Raises the slash threshold in force at once; parameters that pend stay as announced.
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
    event::emit(SlashThresholdRaised { cluster: object::id(cluster), slash_threshold });
}

// === Gateways ===

/// Adds a gateway, live from now on. Returns its id, the audience of the proofs it accepts.
/// Only the admin: `ENotAdmin`. Aborts with `EEndpoint`, `ETlsPins`, `EAttestation`, `ESigningKey`, `ENoSuchTier`,
/// `ETooManyGateways`. Emits `GatewayRegistered`.
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
    assert_tls_pins(&tls_pins);
    assert!(
        is_attestation_kind(&attestation_kind)
            && attestation_measurement.length() <= MAX_MEASUREMENT_LENGTH,
        EAttestation,
    );
    assert!(signing_key.length() == 32, ESigningKey);
    assert!((tier as u64) < TIER_COUNT, ENoSuchTier);
    assert!(cluster.gateways.length() < MAX_GATEWAYS, ETooManyGateways);
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
    };
    cluster.gateways.push_back(gateway);
    event::emit(GatewayRegistered { cluster: object::id(cluster), gateway });
    id
}

/// Sets a gateway live (0), draining (1: serves whom it has, gets nobody new) or retired (2: leaves the list for
/// good). Only the admin: `ENotAdmin`. Aborts with `ENoSuchGateway`, `ENoSuchStatus`. Emits `GatewayStatusChanged`.
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
    assert_tls_pins(&tls_pins);
    let index = gateway_index(cluster, gateway);
    cluster.gateways[index].tls_pins = tls_pins;
    event::emit(GatewayPinsChanged { cluster: object::id(cluster), gateway, tls_pins });
}

// === Rules that are pure functions ===

/// The parameters in force at a time: a function of what is stored and the time alone, so that every reader comes to
/// the same, whoever has called what.
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

/// Until when an open proposal can hold a stake that unlocks then: a quarter of the unbonding time longer.
public(package) fun hold_until(unlock_at_ms: u64, unbonding_ms: u64): u64 {
    unlock_at_ms + unbonding_ms / HOLD_DIVISOR
}

/// The largest stake a record can have.
public fun maximum_stake_mist(): u64 { MAX_STAKE_MIST }

// === For the other modules ===

/// Aborts with `ENotAdmin` unless the sender is the admin.
public(package) fun assert_admin(cluster: &Cluster, ctx: &TxContext) {
    assert!(ctx.sender() == cluster.admin, ENotAdmin);
}

/// Gives a node id to a record. Aborts with `ENodeIdTaken`.
public(package) fun claim_node_id(cluster: &mut Cluster, node_id: String, record: ID) {
    assert!(!cluster.nodes.contains(node_id), ENodeIdTaken);
    cluster.nodes.add(node_id, record);
}

/// Makes a node id free again.
public(package) fun release_node_id(cluster: &mut Cluster, node_id: String) {
    cluster.nodes.remove(node_id);
}

/// Notes a slash, unbonding, withdrawal or revocation of a record. Returns the sequence of the change.
public(package) fun note_urgent(cluster: &mut Cluster, record: ID): u64 {
    cluster.change_seq = cluster.change_seq + 1;
    note(
        &mut cluster.urgent_ring,
        &mut cluster.urgent_dropped_seq,
        RingEntry { record, sequence: cluster.change_seq },
    );
    cluster.change_seq
}

/// Notes any other change of a record. Returns the sequence of the change.
public(package) fun note_other(cluster: &mut Cluster, record: ID): u64 {
    cluster.change_seq = cluster.change_seq + 1;
    note(
        &mut cluster.other_ring,
        &mut cluster.other_dropped_seq,
        RingEntry { record, sequence: cluster.change_seq },
    );
    cluster.change_seq
}

// === Accessors ===

public fun admin(cluster: &Cluster): address { cluster.admin }

public fun offered_admin(cluster: &Cluster): Option<address> { cluster.offered_admin }

/// The stored parameters; in force only until those that pend take effect. Mostly `parameters_at` is what you want.
public fun stored_parameters(cluster: &Cluster): &Parameters { &cluster.parameters }

public fun pending(cluster: &Cluster): &Option<PendingParameters> { &cluster.pending }

public fun earlier_unlock_ms(cluster: &Cluster): u64 { cluster.earlier_unlock_ms }

public fun gateways(cluster: &Cluster): &vector<Gateway> { &cluster.gateways }

public fun change_seq(cluster: &Cluster): u64 { cluster.change_seq }

public fun urgent_ring(cluster: &Cluster): &vector<RingEntry> { &cluster.urgent_ring }

public fun urgent_dropped_seq(cluster: &Cluster): u64 { cluster.urgent_dropped_seq }

public fun other_ring(cluster: &Cluster): &vector<RingEntry> { &cluster.other_ring }

public fun other_dropped_seq(cluster: &Cluster): u64 { cluster.other_dropped_seq }

/// How many node ids are taken.
public fun node_count(cluster: &Cluster): u64 { cluster.nodes.length() }

/// The record that holds a node id now.
public fun record_of_node(cluster: &Cluster, node_id: String): Option<ID> {
    if (cluster.nodes.contains(node_id)) option::some(cluster.nodes[node_id]) else option::none()
}

public fun minimum_stake_mist(parameters: &Parameters): u64 { parameters.minimum_stake_mist }

public fun minimum_top_up_mist(parameters: &Parameters): u64 { parameters.minimum_top_up_mist }

public fun tiers(parameters: &Parameters): &vector<Tier> { &parameters.tiers }

public fun unbonding_ms(parameters: &Parameters): u64 { parameters.unbonding_ms }

public fun maximum_token_epochs(parameters: &Parameters): u64 { parameters.maximum_token_epochs }

public fun slashers(parameters: &Parameters): &vector<address> { &parameters.slashers }

public fun slash_threshold(parameters: &Parameters): u64 { parameters.slash_threshold }

public fun proposal_life_ms(parameters: &Parameters): u64 { parameters.proposal_life_ms }

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
    }
}

/// Puts an entry at the end of a ring, drops the earlier one of the same record, and, from a full ring, the oldest.
fun note(ring: &mut vector<RingEntry>, dropped_seq: &mut u64, entry: RingEntry) {
    let mut i = ring.length();
    while (i > 0) {
        i = i - 1;
        if (ring[i].record == entry.record) {
            ring.remove(i);
            break
        }
    };
    if (ring.length() == RING_CAPACITY) *dropped_seq = ring.remove(0).sequence;
    ring.push_back(entry);
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
/// worker needs is said in so many words.
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

fun assert_tls_pins(pins: &vector<vector<u8>>) {
    let count = pins.length();
    assert!(count <= MAX_TLS_PINS, ETlsPins);
    let mut i = 0;
    while (i < count) {
        assert!(pins[i].length() == 32, ETlsPins);
        i = i + 1;
    };
    assert!(count < MAX_TLS_PINS || pins[0] != pins[1], ETlsPins);
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

fun gateway_index(cluster: &Cluster, gateway: ID): u64 {
    let mut i = 0;
    while (i < cluster.gateways.length()) {
        if (cluster.gateways[i].id == gateway) return i;
        i = i + 1;
    };
    abort ENoSuchGateway
}
