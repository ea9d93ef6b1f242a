/// What the tests share: a cluster, a clock and a stack of transactions, with one short call for each public function.
#[test_only]
module k3s_daas::world;

use k3s_daas::attestation;
use k3s_daas::cluster::{Self, Cluster, Parameters};
use k3s_daas::k8s_gateway::{Self, SealToken};
use k3s_daas::slashing::{Self, SlashProposal};
use k3s_daas::staking::{Self, StakeRecord};
use std::bcs;
use std::string::String;
use sui::clock::{Self, Clock};
use sui::coin::{Self, Coin};
use sui::event;
use sui::sui::SUI;
use sui::test_scenario::{Self, Scenario};

const ADMIN: address = @0xad;
const ALICE: address = @0xa11ce;
const BOB: address = @0xb0b;
const MALLORY: address = @0xbad;
const S1: address = @0x51;
const S2: address = @0x52;
const S3: address = @0x53;
const TREASURY: address = @0x7ea5;
const TREASURY_2: address = @0x7ea52;

public fun admin(): address { ADMIN }

public fun alice(): address { ALICE }

public fun bob(): address { BOB }

public fun mallory(): address { MALLORY }

public fun s1(): address { S1 }

public fun s2(): address { S2 }

public fun s3(): address { S3 }

public fun treasury(): address { TREASURY }

public fun treasury_2(): address { TREASURY_2 }

public fun unbonding(): u64 { 400_000 }

public fun life(): u64 { 100_000 }

public fun day(): u64 { 86_400_000 }

/// When a change scheduled at 0 under the default parameters is in force.
public fun delay(): u64 { unbonding() + day() }

/// No evidence: 32 zero bytes.
public fun no_evidence(): vector<u8> {
    x"0000000000000000000000000000000000000000000000000000000000000000"
}

public fun key(): vector<u8> {
    x"0101010101010101010101010101010101010101010101010101010101010101"
}

public fun key_2(): vector<u8> {
    x"0202020202020202020202020202020202020202020202020202020202020202"
}

// === Parameters ===

/// Parameters before they are checked; the tests change a field or two.
public struct Draft has copy, drop {
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
}

public fun draft(): Draft {
    Draft {
        minimum_stake_mist: 1_000,
        minimum_top_up_mist: 10,
        tier_stakes_mist: vector[100, 1_000, 10_000],
        tier_permissions: seed_permissions(),
        unbonding_ms: unbonding(),
        maximum_token_epochs: 100,
        slashers: vector[S1, S2, S3],
        slash_threshold: 2,
        proposal_life_ms: life(),
        challenge_ms: 0,
        treasury: TREASURY,
    }
}

public fun seed_permissions(): vector<vector<String>> {
    vector[
        words(vector[b"pods:read", b"services:read"]),
        words(vector[b"nodes:write", b"pods:write"]),
        words(vector[b"*:*"]),
    ]
}

public fun words(bytes: vector<vector<u8>>): vector<String> {
    let mut strings = vector[];
    let mut i = 0;
    while (i < bytes.length()) {
        strings.push_back(bytes[i].to_string());
        i = i + 1;
    };
    strings
}

public fun with_minimum(mut d: Draft, mist: u64): Draft {
    d.minimum_stake_mist = mist;
    d
}

public fun with_top_up(mut d: Draft, mist: u64): Draft {
    d.minimum_top_up_mist = mist;
    d
}

public fun with_tiers(mut d: Draft, mist: vector<u64>): Draft {
    d.tier_stakes_mist = mist;
    d
}

public fun with_permissions(mut d: Draft, permissions: vector<vector<String>>): Draft {
    d.tier_permissions = permissions;
    d
}

public fun with_unbonding(mut d: Draft, ms: u64): Draft {
    d.unbonding_ms = ms;
    d
}

public fun with_token_epochs(mut d: Draft, epochs: u64): Draft {
    d.maximum_token_epochs = epochs;
    d
}

public fun with_slashers(mut d: Draft, slashers: vector<address>): Draft {
    d.slashers = slashers;
    d
}

public fun with_threshold(mut d: Draft, threshold: u64): Draft {
    d.slash_threshold = threshold;
    d
}

public fun with_life(mut d: Draft, ms: u64): Draft {
    d.proposal_life_ms = ms;
    d
}

public fun with_challenge(mut d: Draft, ms: u64): Draft {
    d.challenge_ms = ms;
    d
}

public fun with_treasury(mut d: Draft, treasury: address): Draft {
    d.treasury = treasury;
    d
}

public fun checked(d: Draft): Parameters {
    cluster::new_parameters(
        d.minimum_stake_mist,
        d.minimum_top_up_mist,
        d.tier_stakes_mist,
        d.tier_permissions,
        d.unbonding_ms,
        d.maximum_token_epochs,
        d.slashers,
        d.slash_threshold,
        d.proposal_life_ms,
        d.challenge_ms,
        d.treasury,
    )
}

// === The world ===

public struct World {
    scenario: Scenario,
    clock: Clock,
    cluster: Cluster,
}

/// A cluster with the default parameters, at time 0.
public fun begin(): World { begin_with(draft()) }

public fun begin_with(d: Draft): World {
    let mut scenario = test_scenario::begin(ADMIN);
    let clock = clock::create_for_testing(scenario.ctx());
    let cluster = cluster::create_cluster(checked(d), scenario.ctx());
    let id = object::id(&cluster);
    cluster::share(cluster);
    scenario.next_tx(ADMIN);
    let cluster = scenario.take_shared_by_id<Cluster>(id);
    World { scenario, clock, cluster }
}

public fun end(w: World) {
    let World { scenario, clock, cluster } = w;
    clock.destroy_for_testing();
    test_scenario::return_shared(cluster);
    scenario.end();
}

/// Another cluster with the default parameters.
public fun other_cluster(w: &mut World): Cluster {
    w.scenario.next_tx(ADMIN);
    let cluster = cluster::create_cluster(checked(draft()), w.scenario.ctx());
    let id = object::id(&cluster);
    cluster::share(cluster);
    w.scenario.next_tx(ADMIN);
    w.scenario.take_shared_by_id<Cluster>(id)
}

/// Puts another cluster in the place of this one, and gives this one back.
public fun swap_cluster(w: World, other: Cluster): (World, Cluster) {
    let World { scenario, clock, cluster } = w;
    (World { scenario, clock, cluster: other }, cluster)
}

public fun cluster(w: &World): &Cluster { &w.cluster }

public fun cluster_mut(w: &mut World): &mut Cluster { &mut w.cluster }

public fun cluster_id(w: &World): ID { object::id(&w.cluster) }

public fun clock(w: &World): &Clock { &w.clock }

public fun ctx(w: &mut World): &mut TxContext { w.scenario.ctx() }

public fun scenario(w: &mut World): &mut Scenario { &mut w.scenario }

public fun now(w: &World): u64 { w.clock.timestamp_ms() }

public fun at(w: &mut World, ms: u64) { w.clock.set_for_testing(ms) }

public fun in_force(w: &World): Parameters { w.cluster.parameters_at(w.clock.timestamp_ms()) }

public fun epochs(w: &mut World, count: u64) {
    let mut i = 0;
    while (i < count) {
        w.scenario.next_epoch(ADMIN);
        i = i + 1;
    }
}

/// A new transaction of that sender.
public fun tx(w: &mut World, sender: address) { w.scenario.next_tx(sender); }

public fun sui(w: &mut World, mist: u64): Coin<SUI> {
    coin::mint_for_testing(mist, w.scenario.ctx())
}

// === cluster ===

public fun schedule(w: &mut World, sender: address, d: Draft) {
    w.tx(sender);
    w.cluster.schedule_parameters(checked(d), &w.clock, w.scenario.ctx());
}

public fun settle(w: &mut World, sender: address) {
    w.tx(sender);
    w.cluster.settle_parameters(&w.clock);
}

public fun set_servers(
    w: &mut World,
    sender: address,
    servers: vector<vector<u8>>,
    ca_hashes: vector<vector<u8>>,
) {
    w.tx(sender);
    w.cluster.set_servers(words(servers), ca_hashes, w.scenario.ctx());
}

public fun reserve(w: &mut World, sender: address, node_id: vector<u8>, reserved_for: address) {
    w.tx(sender);
    w.cluster.reserve_node_id(node_id.to_string(), reserved_for, w.scenario.ctx());
}

public fun unreserve(w: &mut World, sender: address, node_id: vector<u8>) {
    w.tx(sender);
    w.cluster.unreserve_node_id(node_id.to_string(), w.scenario.ctx());
}

public fun accept_treasury(w: &mut World, sender: address) {
    w.tx(sender);
    w.cluster.accept_treasury(&w.clock, w.scenario.ctx());
}

public fun remove_slasher(w: &mut World, sender: address, slasher: address) {
    w.tx(sender);
    w.cluster.remove_slasher(slasher, &w.clock, w.scenario.ctx());
}

public fun raise_threshold(w: &mut World, sender: address, threshold: u64) {
    w.tx(sender);
    w.cluster.raise_slash_threshold(threshold, &w.clock, w.scenario.ctx());
}

public fun offer_admin(w: &mut World, sender: address, to: address) {
    w.tx(sender);
    w.cluster.offer_admin(to, &w.clock, w.scenario.ctx());
}

public fun accept_admin(w: &mut World, sender: address) {
    w.tx(sender);
    w.cluster.accept_admin(&w.clock, w.scenario.ctx());
}

public fun register_gateway(
    w: &mut World,
    sender: address,
    endpoint: vector<u8>,
    pins: vector<vector<u8>>,
    kind: vector<u8>,
    measurement: vector<u8>,
    signing_key: vector<u8>,
    tier: u8,
): ID {
    w.tx(sender);
    w
        .cluster
        .register_gateway(
            endpoint.to_string(),
            pins,
            kind.to_string(),
            measurement,
            signing_key,
            tier,
            w.scenario.ctx(),
        )
}

public fun good_gateway(w: &mut World, sender: address): ID {
    w.register_gateway(
        sender,
        b"https://gw.example:8443",
        vector[key()],
        b"tsm",
        x"0102",
        key_2(),
        1,
    )
}

/// One more gateway, unlike all that are there.
public fun next_gateway(w: &mut World, sender: address): ID {
    let number = w.cluster.gateways().length();
    let mut endpoint = b"https://gw";
    while (endpoint.length() < 11 + number) endpoint.push_back(97);
    let fresh = bcs::to_bytes(&w.scenario.ctx().fresh_object_address());
    w.register_gateway(sender, endpoint, vector[key()], b"tsm", x"0102", fresh, 1)
}

public fun attest(w: &mut World, sender: address, gateway: ID, claim: attestation::Claim) {
    w.tx(sender);
    attestation::register_claim(&mut w.cluster, gateway, claim, &w.clock, w.scenario.ctx());
}

public fun set_gateway_status(w: &mut World, sender: address, gateway: ID, status: u8) {
    w.tx(sender);
    w.cluster.set_gateway_status(gateway, status, w.scenario.ctx());
}

public fun set_gateway_pins(w: &mut World, sender: address, gateway: ID, pins: vector<vector<u8>>) {
    w.tx(sender);
    w.cluster.set_gateway_pins(gateway, pins, w.scenario.ctx());
}

// === staking ===

public fun stake_node(w: &mut World, sender: address, mist: u64, node_id: vector<u8>): StakeRecord {
    let terms_version = w.cluster.terms_version();
    w.stake_node_on_terms(sender, mist, node_id, terms_version)
}

public fun stake_node_on_terms(
    w: &mut World,
    sender: address,
    mist: u64,
    node_id: vector<u8>,
    terms_version: u64,
): StakeRecord {
    w.tx(sender);
    let record = w.new_node_record(mist, node_id, terms_version);
    w.share_and_take(sender, record)
}

/// Without a transaction of its own. Returns the id of the record.
public fun stake_node_in_this_transaction(w: &mut World, mist: u64, node_id: vector<u8>): ID {
    let terms_version = w.cluster.terms_version();
    let record = w.new_node_record(mist, node_id, terms_version);
    let id = object::id(&record);
    staking::share(record);
    id
}

/// A record that is not shared yet, without a transaction of its own.
public fun new_node_record(
    w: &mut World,
    mist: u64,
    node_id: vector<u8>,
    terms_version: u64,
): StakeRecord {
    let coin = w.sui(mist);
    staking::stake_for_node(
        &mut w.cluster,
        coin,
        node_id.to_string(),
        terms_version,
        &w.clock,
        w.scenario.ctx(),
    )
}

public fun stake_user(w: &mut World, sender: address, mist: u64): StakeRecord {
    let terms_version = w.cluster.terms_version();
    w.stake_user_on_terms(sender, mist, terms_version)
}

public fun stake_user_on_terms(
    w: &mut World,
    sender: address,
    mist: u64,
    terms_version: u64,
): StakeRecord {
    w.tx(sender);
    let coin = w.sui(mist);
    let record = staking::stake_for_user(
        &mut w.cluster,
        coin,
        terms_version,
        &w.clock,
        w.scenario.ctx(),
    );
    w.share_and_take(sender, record)
}

public fun stake_admin(w: &mut World, sender: address, mist: u64): StakeRecord {
    let terms_version = w.cluster.terms_version();
    w.stake_admin_on_terms(sender, mist, terms_version)
}

public fun stake_admin_on_terms(
    w: &mut World,
    sender: address,
    mist: u64,
    terms_version: u64,
): StakeRecord {
    w.tx(sender);
    let coin = w.sui(mist);
    let record = staking::stake_for_admin(
        &mut w.cluster,
        coin,
        terms_version,
        &w.clock,
        w.scenario.ctx(),
    );
    w.share_and_take(sender, record)
}

fun share_and_take(w: &mut World, sender: address, record: StakeRecord): StakeRecord {
    let id = object::id(&record);
    staking::share(record);
    w.take(sender, id)
}

fun take(w: &mut World, sender: address, id: ID): StakeRecord {
    w.scenario.next_tx(sender);
    w.scenario.take_shared_by_id<StakeRecord>(id)
}

public fun top_up(w: &mut World, sender: address, record: &mut StakeRecord, mist: u64) {
    let terms_version = w.cluster.terms_version();
    w.top_up_on_terms(sender, record, mist, terms_version);
}

public fun top_up_on_terms(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    mist: u64,
    terms_version: u64,
) {
    w.tx(sender);
    let coin = w.sui(mist);
    staking::top_up(&mut w.cluster, record, coin, terms_version, &w.clock, w.scenario.ctx());
}

/// Without a transaction of its own.
public fun top_up_in_this_transaction(w: &mut World, record: &mut StakeRecord, mist: u64) {
    let coin = w.sui(mist);
    let terms_version = w.cluster.terms_version();
    staking::top_up(&mut w.cluster, record, coin, terms_version, &w.clock, w.scenario.ctx());
}

public fun unstake(w: &mut World, sender: address, record: &mut StakeRecord) {
    w.tx(sender);
    staking::request_unstake(&mut w.cluster, record, &w.clock, w.scenario.ctx());
}

public fun force_unstake(w: &mut World, sender: address, record: &mut StakeRecord) {
    w.tx(sender);
    staking::force_unstake(&mut w.cluster, record, &w.clock, w.scenario.ctx());
}

/// Withdraws and returns how much came out.
public fun withdraw(w: &mut World, sender: address, record: &mut StakeRecord): u64 {
    w.tx(sender);
    staking::withdraw(&mut w.cluster, record, &w.clock, w.scenario.ctx()).burn_for_testing()
}

// === slashing ===

public fun propose(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    mist: u64,
): SlashProposal {
    w.propose_because(sender, record, mist, b"absent")
}

public fun propose_because(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    mist: u64,
    reason: vector<u8>,
): SlashProposal {
    w.propose_with(sender, record, mist, reason, no_evidence())
}

/// As `k3s-daas slash propose` does it: carried out in the same transaction where one vote is enough.
public fun propose_with(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    mist: u64,
    reason: vector<u8>,
    evidence: vector<u8>,
): SlashProposal {
    w.tx(sender);
    let mut proposal = slashing::propose(
        &mut w.cluster,
        record,
        mist,
        reason.to_string(),
        evidence,
        &w.clock,
        w.scenario.ctx(),
    );
    if (w.is_ready(&proposal)) w.execute_in_this_transaction(record, &mut proposal);
    let id = object::id(&proposal);
    slashing::share(proposal);
    w.scenario.next_tx(sender);
    w.scenario.take_shared_by_id<SlashProposal>(id)
}

fun is_ready(w: &World, proposal: &SlashProposal): bool {
    let parameters = w.in_force();
    w.now() >= proposal.executable_at_ms()
        && slashing::counted_votes(proposal, &parameters)
            >= slashing::needed_votes(proposal, &parameters)
}

public fun take_proposal(w: &mut World, id: ID): SlashProposal {
    w.scenario.take_shared_by_id<SlashProposal>(id)
}

/// As `k3s-daas slash vote` does it: carries the proposal out in the same transaction when that is enough.
public fun vote(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
) {
    w.only_vote(sender, record, proposal);
    if (w.is_ready(proposal)) w.execute_in_this_transaction(record, proposal);
}

public fun only_vote(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
) {
    w.tx(sender);
    slashing::vote(&w.cluster, record, proposal, &w.clock, w.scenario.ctx());
}

public fun execute(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
) {
    w.tx(sender);
    w.execute_in_this_transaction(record, proposal);
}

fun execute_in_this_transaction(
    w: &mut World,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
) {
    slashing::execute(&mut w.cluster, record, proposal, &w.clock, w.scenario.ctx());
}

public fun retract(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
) {
    w.tx(sender);
    slashing::retract(&w.cluster, record, proposal, &w.clock, w.scenario.ctx());
}

public fun answer(
    w: &mut World,
    sender: address,
    record: &StakeRecord,
    proposal: &mut SlashProposal,
    answer: vector<u8>,
) {
    w.tx(sender);
    slashing::answer(&w.cluster, record, proposal, answer, &w.clock, w.scenario.ctx());
}

public fun cancel(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
) {
    w.tx(sender);
    slashing::cancel(&mut w.cluster, record, proposal, w.scenario.ctx());
}

/// Without a transaction of its own and carrying nothing out, so that its events can be read. Returns the id of the
/// proposal.
public fun propose_in_this_transaction(
    w: &mut World,
    record: &mut StakeRecord,
    mist: u64,
    reason: vector<u8>,
    evidence: vector<u8>,
): ID {
    let proposal = slashing::propose(
        &mut w.cluster,
        record,
        mist,
        reason.to_string(),
        evidence,
        &w.clock,
        w.scenario.ctx(),
    );
    let id = object::id(&proposal);
    slashing::share(proposal);
    id
}

public fun expire(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    proposal: &mut SlashProposal,
) {
    w.tx(sender);
    slashing::expire(&mut w.cluster, record, proposal, &w.clock);
}

/// What the treasury has received in all: takes the coins away.
public fun collect(w: &mut World, account: address): u64 {
    w.tx(account);
    let ids = w.scenario.ids_for_sender<Coin<SUI>>();
    let mut sum = 0;
    let mut i = 0;
    while (i < ids.length()) {
        let coin = w.scenario.take_from_sender_by_id<Coin<SUI>>(ids[i]);
        sum = sum + coin.burn_for_testing();
        i = i + 1;
    };
    sum
}

// === k8s_gateway ===

public fun worker_token(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    holder_key: vector<u8>,
): SealToken {
    w.tx(sender);
    k8s_gateway::create_worker_seal_token(
        &mut w.cluster,
        record,
        holder_key,
        &w.clock,
        w.scenario.ctx(),
    );
    w.take_token(sender)
}

public fun user_token(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    permissions: vector<vector<u8>>,
    holder_key: vector<u8>,
): SealToken {
    w.tx(sender);
    k8s_gateway::create_seal_token(
        &mut w.cluster,
        record,
        words(permissions),
        holder_key,
        &w.clock,
        w.scenario.ctx(),
    );
    w.take_token(sender)
}

/// Without a transaction of its own, so that its events can be read.
public fun worker_token_in_this_transaction(
    w: &mut World,
    record: &mut StakeRecord,
    holder_key: vector<u8>,
) {
    k8s_gateway::create_worker_seal_token(
        &mut w.cluster,
        record,
        holder_key,
        &w.clock,
        w.scenario.ctx(),
    )
}

/// Without a transaction of its own, so that its events can be read.
public fun user_token_in_this_transaction(
    w: &mut World,
    record: &mut StakeRecord,
    permissions: vector<vector<u8>>,
    holder_key: vector<u8>,
) {
    k8s_gateway::create_seal_token(
        &mut w.cluster,
        record,
        words(permissions),
        holder_key,
        &w.clock,
        w.scenario.ctx(),
    )
}

/// Without a transaction of its own, so that its events can be read.
public fun rotate_in_this_transaction(
    w: &mut World,
    record: &mut StakeRecord,
    token: SealToken,
    holder_key: vector<u8>,
) {
    k8s_gateway::rotate_seal_token(
        &mut w.cluster,
        record,
        token,
        holder_key,
        &w.clock,
        w.scenario.ctx(),
    )
}

/// The token that the sender got last.
public fun newest_token(w: &mut World, sender: address): SealToken { w.take_token(sender) }

public fun rotate(
    w: &mut World,
    sender: address,
    record: &mut StakeRecord,
    token: SealToken,
    holder_key: vector<u8>,
): SealToken {
    w.tx(sender);
    k8s_gateway::rotate_seal_token(
        &mut w.cluster,
        record,
        token,
        holder_key,
        &w.clock,
        w.scenario.ctx(),
    );
    w.take_token(sender)
}

public fun revoke(w: &mut World, sender: address, record: &mut StakeRecord, token: SealToken) {
    w.tx(sender);
    k8s_gateway::revoke_seal_token(&mut w.cluster, record, token);
}

public fun is_valid(w: &mut World, record: &StakeRecord, token: &SealToken): bool {
    k8s_gateway::is_valid(&w.cluster, record, token, &w.clock, w.scenario.ctx())
}

fun take_token(w: &mut World, sender: address): SealToken {
    w.scenario.next_tx(sender);
    w.scenario.take_from_sender<SealToken>()
}

// === Putting away ===

public fun put(record: StakeRecord) { test_scenario::return_shared(record) }

public fun put_proposal(proposal: SlashProposal) { test_scenario::return_shared(proposal) }

public fun put_cluster(cluster: Cluster) { test_scenario::return_shared(cluster) }

public fun put_token(owner: address, token: SealToken) {
    test_scenario::return_to_address(owner, token)
}

public fun is_held(w: &World, record: &StakeRecord): bool {
    record.is_held(&w.in_force(), w.now())
}

// === Events ===

/// The BCS of the one event of this type in this transaction; aborts unless there is exactly one.
public fun only_event<T: copy + drop>(): vector<u8> {
    let events = event::events_by_type<T>();
    assert!(events.length() == 1);
    bcs::to_bytes(&events[0])
}

/// The BCS of the last event of this type in this transaction.
public fun last_event<T: copy + drop>(): vector<u8> {
    let events = event::events_by_type<T>();
    bcs::to_bytes(&events[events.length() - 1])
}

/// How many events of this type this transaction has emitted.
public fun count_events<T: copy + drop>(): u64 { event::events_by_type<T>().length() }

/// Appends the BCS of a value: an expected event is put together field by field.
public fun and<T>(mut bytes: vector<u8>, value: &T): vector<u8> {
    bytes.append(bcs::to_bytes(value));
    bytes
}
