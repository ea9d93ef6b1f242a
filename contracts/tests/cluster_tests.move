#[test_only]
module k3s_daas::cluster_tests;
use k3s_daas::world;

#[test]
fun smoke() {
    let mut w = world::begin();
    let r = w.stake_node(world::alice(), 1_000, b"n1");
    world::put(r);
    w.end();
}
