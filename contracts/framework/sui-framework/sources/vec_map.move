module sui::vec_map;

public struct Entry<K: copy, V> has copy, drop, store {
    key: K,
    value: V,
}

public struct VecMap<K: copy, V> has copy, drop, store {
    contents: vector<Entry<K, V>>,
}

public fun empty<K: copy, V>(): VecMap<K, V> { VecMap { contents: vector[] } }

/// Here without a look for the key.
public fun insert<K: copy, V>(self: &mut VecMap<K, V>, key: K, value: V) {
    self.contents.push_back(Entry { key, value })
}

public fun length<K: copy, V>(self: &VecMap<K, V>): u64 { self.contents.length() }
