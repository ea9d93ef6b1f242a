#[test_only]
module std::unit_test;

public native fun poison();

public native fun destroy<T>(v: T);

public macro fun assert_eq<$T: drop>($t1: $T, $t2: $T) {
    assert!($t1 == $t2);
}
