// Functions that make no object take `&TxContext`: it says so, and an upgrade adds functions instead of changing these.

/// Seal tokens: what ties a stake to one holder's key.
///
/// A Seal token is an object of the staker's that cannot be given away. It holds no secret: the holder of the
/// private key of `holder_key` speaks for the stake, while the token is the one its stake record names and the record
/// is active. (It has nothing to do with Seal, the secrets service of the same name.)
#[allow(lint(prefer_mut_tx_context))]
module k3s_daas::k8s_gateway;

use k3s_daas::cluster::{Self, Cluster, Parameters};
use k3s_daas::staking::StakeRecord;
use std::bcs;
use std::hash;
use std::string::String;
use sui::clock::Clock;
use sui::event;
use sui::hex;

// === Errors ===

#[error]
const ENotNodeStake: vector<u8> = b"A worker's Seal token is made from a stake of type node only";
#[error]
const ENodeStake: vector<u8> =
    b"A stake of type node gets a worker's Seal token: call create_worker_seal_token";
#[error]
const ETokenExists: vector<u8> = b"The stake record has a Seal token already: rotate or revoke it";
#[error]
const EHolderKeyLength: vector<u8> = b"The holder key must be an Ed25519 public key of 32 bytes";
#[error]
const EPermissionCount: vector<u8> = b"Between 1 and 16 permissions must be asked for";
#[error]
const EPermissionForm: vector<u8> =
    b"A permission must have the form resource:verb and be asked for once";
#[error]
const EPermissionAboveTier: vector<u8> =
    b"The tier of the stake does not grant a permission that was asked for";
#[error]
const ENoPermissionLeft: vector<u8> =
    b"The tier of the stake grants none of the token's permissions any more: revoke it and make a new one";
#[error]
const EWrongToken: vector<u8> = b"The Seal token is of another stake record";
#[error]
const ETokenNotLive: vector<u8> = b"The Seal token is not the live one of its stake record";

// === Constants ===

const KEY_LENGTH: u64 = 32;
const MAX_PERMISSIONS: u64 = 16;
/// Bytes of the hash that make the public name: 32 hexadecimal digits.
const NAME_BYTES: u64 = 16;

// === Structs ===

/// Owned by the staker; without `store`, so it can be neither sold nor wrapped.
public struct SealToken has key {
    id: UID,
    /// A public name, `seal_` and 32 hexadecimal digits. Never a credential.
    token_hash: String,
    owner: address,
    cluster: ID,
    stake_id: ID,
    /// Empty for user and admin stakes.
    node_id: String,
    /// Ed25519 public key of the holder, who proves this token by signatures.
    holder_key: vector<u8>,
    /// The stake when the token was made, in MIST.
    stake_amount: u64,
    permissions: vector<String>,
    issued_epoch: u64,
    /// From this epoch on (inclusive) the token is expired.
    expires_at: u64,
    /// 0 basic, 1 standard, 2 premium.
    gateway_tier: u8,
    /// Rises with every token of the record.
    sequence: u64,
}

// === Events ===

public struct SealTokenCreated has copy, drop {
    cluster: ID,
    record: ID,
    /// The sequence of the change (not of the token).
    sequence: u64,
    token: ID,
    token_hash: String,
    owner: address,
    node_id: String,
    holder_key: vector<u8>,
    stake_amount: u64,
    permissions: vector<String>,
    issued_epoch: u64,
    expires_at: u64,
    gateway_tier: u8,
    token_sequence: u64,
}

public struct SealTokenRotated has copy, drop {
    cluster: ID,
    record: ID,
    /// The sequence of the change (not of the token).
    sequence: u64,
    /// The token that was deleted.
    previous: ID,
    token: ID,
    token_hash: String,
    owner: address,
    node_id: String,
    holder_key: vector<u8>,
    stake_amount: u64,
    permissions: vector<String>,
    issued_epoch: u64,
    expires_at: u64,
    gateway_tier: u8,
    token_sequence: u64,
}

public struct SealTokenRevoked has copy, drop {
    cluster: ID,
    record: ID,
    /// The sequence of the change; 0 when the token was dead already, so that the record did not change.
    sequence: u64,
    token: ID,
    owner: address,
    node_id: String,
}

// === Functions ===

/// Makes the Seal token of a worker and gives it to the staker. It has the permissions `nodes:write` and, where the
/// tier grants it, `pods:write`, and lives for the longest time the parameters allow. An expired token is still the
/// record's token: replace it with `rotate_seal_token`.
/// Only the staker: `staking::ENotStaker`. Aborts with `staking::EWrongCluster`, `staking::ENotActive`,
/// `ENotNodeStake`, `staking::EStakeBelowMinimum`, `ETokenExists`, `EHolderKeyLength`. Emits `SealTokenCreated`.
public fun create_worker_seal_token(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    holder_key: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let parameters = assert_may_mint(cluster, record, clock, ctx);
    assert!(record.is_for_node(), ENotNodeStake);
    let permissions = worker_permissions(&parameters, record.balance_mist());
    create(cluster, record, permissions, holder_key, &parameters, clock, ctx)
}

/// Makes the Seal token of a user or admin stake, with exactly the permissions asked for, and gives it to the staker.
/// Only the staker: `staking::ENotStaker`. Aborts with `staking::EWrongCluster`, `staking::ENotActive`, `ENodeStake`,
/// `staking::EStakeBelowMinimum`, `EPermissionCount`, `EPermissionForm`, `EPermissionAboveTier`, `ETokenExists`,
/// `EHolderKeyLength`. Emits `SealTokenCreated`.
public fun create_seal_token(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    permissions: vector<String>,
    holder_key: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let parameters = assert_may_mint(cluster, record, clock, ctx);
    assert!(!record.is_for_node(), ENodeStake);
    let granted = parameters.permissions_of(record.balance_mist());
    let count = permissions.length();
    assert!(count > 0 && count <= MAX_PERMISSIONS, EPermissionCount);
    let mut i = 0;
    while (i < count) {
        let permission = &permissions[i];
        let (_, first) = permissions.index_of(permission);
        assert!(cluster::is_permission(permission) && first == i, EPermissionForm);
        assert!(cluster::covers(&granted, permission), EPermissionAboveTier);
        i = i + 1;
    };
    create(cluster, record, permissions, holder_key, &parameters, clock, ctx)
}

/// Deletes the live token of a record, expired or not, and makes its successor with the next sequence, the key given
/// and the full life. A worker's permissions are computed anew, those of others are kept as far as the tier still
/// grants them. Only the staker: `staking::ENotStaker`. Aborts with `staking::EWrongCluster`, `staking::ENotActive`,
/// `staking::EStakeBelowMinimum`, `EWrongToken`, `ETokenNotLive`, `ENoPermissionLeft`, `EHolderKeyLength`.
/// Emits `SealTokenRotated`.
public fun rotate_seal_token(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    token: SealToken,
    holder_key: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let parameters = assert_may_mint(cluster, record, clock, ctx);
    assert!(token.stake_id == object::id(record), EWrongToken);
    assert!(is_bound(record, &token), ETokenNotLive);
    let permissions = if (record.is_for_node()) {
        worker_permissions(&parameters, record.balance_mist())
    } else {
        still_granted(&token.permissions, &parameters, record.balance_mist())
    };
    assert!(!permissions.is_empty(), ENoPermissionLeft);
    let previous = destroy(token);
    let token = mint(record, permissions, holder_key, &parameters, clock, ctx);
    event::emit(SealTokenRotated {
        cluster: token.cluster,
        record: token.stake_id,
        sequence: record.note_other(cluster),
        previous,
        token: object::id(&token),
        token_hash: token.token_hash,
        owner: token.owner,
        node_id: token.node_id,
        holder_key,
        stake_amount: token.stake_amount,
        permissions,
        issued_epoch: token.issued_epoch,
        expires_at: token.expires_at,
        gateway_tier: token.gateway_tier,
        token_sequence: token.sequence,
    });
    transfer::transfer(token, record.staker());
}

/// Deletes a token; if it was the live one of its record, the record has none then. Its owner, which is the staker,
/// may do so at any time (no other address can name the object in a transaction). Aborts with `staking::EWrongCluster`,
/// `EWrongToken`. Emits `SealTokenRevoked`.
public fun revoke_seal_token(cluster: &mut Cluster, record: &mut StakeRecord, token: SealToken) {
    record.assert_belongs(cluster);
    assert!(token.stake_id == object::id(record), EWrongToken);
    let sequence = if (is_bound(record, &token)) {
        record.unbind_token();
        record.note_ended(cluster)
    } else {
        0
    };
    event::emit(SealTokenRevoked {
        cluster: token.cluster,
        record: token.stake_id,
        sequence,
        token: object::id(&token),
        owner: token.owner,
        node_id: token.node_id,
    });
    destroy(token);
}

/// Whether a token counts: it belongs to this record and cluster, this package may change the cluster, it is the
/// record's live one, the record is active, no slash has left it less than the minimum in force, the token has not
/// expired, and the parameters in force grant the stake each of its permissions still. Never aborts.
public fun is_valid(
    cluster: &Cluster,
    record: &StakeRecord,
    token: &SealToken,
    clock: &Clock,
    ctx: &TxContext,
): bool {
    let parameters = cluster.parameters_at(clock.timestamp_ms());
    cluster.has_version()
        && record.cluster() == object::id(cluster)
        && is_bound(record, token)
        && record.is_active()
        && !record.is_short_after_slash(&parameters)
        && ctx.epoch() < token.expires_at
        && still_granted(&token.permissions, &parameters, record.balance_mist()) == token.permissions
}

// === Accessors ===

public fun token_hash(token: &SealToken): &String { &token.token_hash }

public fun owner(token: &SealToken): address { token.owner }

public fun cluster(token: &SealToken): ID { token.cluster }

public fun stake_id(token: &SealToken): ID { token.stake_id }

public fun node_id(token: &SealToken): &String { &token.node_id }

public fun holder_key(token: &SealToken): &vector<u8> { &token.holder_key }

public fun stake_amount(token: &SealToken): u64 { token.stake_amount }

public fun permissions(token: &SealToken): &vector<String> { &token.permissions }

public fun issued_epoch(token: &SealToken): u64 { token.issued_epoch }

public fun expires_at(token: &SealToken): u64 { token.expires_at }

public fun gateway_tier(token: &SealToken): u8 { token.gateway_tier }

public fun sequence(token: &SealToken): u64 { token.sequence }

// === Internals ===

/// What every new token needs, whatever its kind. Returns the parameters in force.
fun assert_may_mint(
    cluster: &Cluster,
    record: &StakeRecord,
    clock: &Clock,
    ctx: &TxContext,
): Parameters {
    let parameters = cluster.parameters_at(clock.timestamp_ms());
    record.assert_belongs(cluster);
    record.assert_staker(ctx);
    record.assert_active();
    record.assert_minimum(&parameters);
    parameters
}

fun is_bound(record: &StakeRecord, token: &SealToken): bool {
    record.token().contains(&object::id(token))
}

fun create(
    cluster: &mut Cluster,
    record: &mut StakeRecord,
    permissions: vector<String>,
    holder_key: vector<u8>,
    parameters: &Parameters,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    assert!(record.token().is_none(), ETokenExists);
    let token = mint(record, permissions, holder_key, parameters, clock, ctx);
    event::emit(SealTokenCreated {
        cluster: token.cluster,
        record: token.stake_id,
        sequence: record.note_other(cluster),
        token: object::id(&token),
        token_hash: token.token_hash,
        owner: token.owner,
        node_id: token.node_id,
        holder_key,
        stake_amount: token.stake_amount,
        permissions,
        issued_epoch: token.issued_epoch,
        expires_at: token.expires_at,
        gateway_tier: token.gateway_tier,
        token_sequence: token.sequence,
    });
    transfer::transfer(token, record.staker());
}

fun mint(
    record: &mut StakeRecord,
    permissions: vector<String>,
    holder_key: vector<u8>,
    parameters: &Parameters,
    clock: &Clock,
    ctx: &mut TxContext,
): SealToken {
    assert!(holder_key.length() == KEY_LENGTH, EHolderKeyLength);
    let id = object::new(ctx);
    let stake_amount = record.balance_mist();
    SealToken {
        token_hash: public_name(&id, clock.timestamp_ms(), ctx),
        owner: record.staker(),
        cluster: record.cluster(),
        stake_id: object::id(record),
        node_id: *record.node_id(),
        holder_key,
        stake_amount,
        permissions,
        issued_epoch: ctx.epoch(),
        expires_at: ctx.epoch() + parameters.maximum_token_epochs(),
        gateway_tier: parameters.tier_of(stake_amount),
        sequence: record.bind_token(id.to_inner()),
        id,
    }
}

fun destroy(token: SealToken): ID {
    let SealToken { id, .. } = token;
    let inner = id.to_inner();
    id.delete();
    inner
}

/// What a worker does, and no more, however high its stake.
fun worker_permissions(parameters: &Parameters, stake_mist: u64): vector<String> {
    still_granted(
        &vector[b"nodes:write".to_string(), b"pods:write".to_string()],
        parameters,
        stake_mist,
    )
}

/// Those of the permissions that a stake of this size has.
fun still_granted(
    permissions: &vector<String>,
    parameters: &Parameters,
    stake_mist: u64,
): vector<String> {
    let granted = parameters.permissions_of(stake_mist);
    let mut kept = vector[];
    let mut i = 0;
    while (i < permissions.length()) {
        if (cluster::covers(&granted, &permissions[i])) kept.push_back(permissions[i]);
        i = i + 1;
    };
    kept
}

/// `seal_` and the first 16 bytes, in hexadecimal, of SHA-256 over transaction digest, object id and time (BCS).
fun public_name(id: &UID, now_ms: u64, ctx: &TxContext): String {
    let mut preimage = *ctx.digest();
    preimage.append(id.to_bytes());
    preimage.append(bcs::to_bytes(&now_ms));
    let mut digest = hash::sha2_256(preimage);
    while (digest.length() > NAME_BYTES) {
        digest.pop_back();
    };
    let mut name = b"seal_".to_string();
    name.append(hex::encode(digest).to_string());
    name
}
