  (func $region_1:0 (type $t8) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i64) (local $l4 i64) (local $l5 i64) (local $l6 i32) (local $l7 i64) (local $l8 i64) (local $l9 i32) (local $l10 i64) (local $l11 i32) (local $l12 i32) (local $l13 i32) (local $l14 i64) (local $l15 i64) (local $l16 i64)
    (if $I0
      (i32.lt_s
        (local.tee $l2
          (i32.add
            (i32.load offset=1724
              (local.get $p0))
            (i32.const 5)))
        (i32.const 4))
      (then
        (return_call_indirect (type $t8)
          (local.get $p0)
          (i32.const ADDRESS)
          (i32.load offset=4
            (i32.const ADDRESS)))))
    (local.set $l3
      (i64.load
        (local.get $p0)))
    (local.set $l4
      (i64.load offset=8
        (local.get $p0)))
    (local.set $l5
      (i64.load offset=136
        (local.get $p0)))
    (local.set $l6
      (i32.load offset=1704
        (local.get $p0)))
    (local.set $l7
      (i64.load offset=144
        (local.get $p0)))
    (local.set $l8
      (i64.load offset=152
        (local.get $p0)))
    (local.set $l9
      (i32.load offset=160
        (local.get $p0)))
    (local.set $l10
      (i64.const 0))
    (block $B1
      (local.set $l2
        (i32.sub
          (local.get $l2)
          (i32.const 1)))
      (local.set $l11
        (i32.wrap_i64
          (local.get $l3)))
      (local.set $l12
        (i32.wrap_i64
          (local.get $l3)))
      (local.set $l7
        (i64.extend_i32_u
          (local.tee $l13
            (i32.xor
              (local.get $l11)
              (local.get $l12)))))
      (local.set $l3
        (i64.extend_i32_u
          (local.get $l13)))
      (local.set $l9
        (i32.const 22))
      (loop $L2
        (local.set $l2
          (i32.sub
            (local.get $l2)
            (i32.const 3)))
        (local.set $l14
          (local.get $l3))
        (local.set $l15
          (local.get $l4))
        (local.set $l7
          (local.tee $l16
            (i64.add
              (local.get $l14)
              (local.get $l15))))
        (local.set $l8
          (local.get $l14))
        (local.set $l3
          (local.get $l16))
        (local.set $l15
          (i64.sub
            (local.tee $l16
              (local.get $l4))
            (i64.const 1)))
        (local.set $l13
          (i64.lt_u
            (local.get $l7)
            (local.get $l8)))
        (local.set $l7
          (local.get $l15))
        (local.set $l8
          (i64.extend_i32_u
            (local.get $l13)))
        (local.set $l4
          (local.get $l15))
        (if $I3
          (local.tee $l12
            (i32.xor
              (local.tee $l13
                (i64.eqz
                  (local.get $l7)))
              (i32.const 1)))
          (then
            (local.set $l9
              (i32.const 19))
            (if $I4
              (i32.lt_s
                (local.get $l2)
                (i32.const 3))
              (then
                (i64.store
                  (local.get $p0)
                  (local.get $l3))
                (i64.store offset=8
                  (local.get $p0)
                  (local.get $l4))
                (i64.store offset=144
                  (local.get $p0)
                  (local.get $l7))
                (i64.store offset=152
                  (local.get $p0)
                  (local.get $l8))
                (i32.store offset=160
                  (local.get $p0)
                  (local.get $l9))
                (i32.store offset=1724
                  (local.get $p0)
                  (local.get $l2))
                (i64.store offset=136
                  (local.get $p0)
                  (i64.add
                    (local.get $l5)
                    (i64.const 2)))
                (return
                  (i32.const 0))))
            (br $L2)))
        (local.set $l15
          (i64.add
            (local.get $l5)
            (i64.const 10)))
        (i64.store
          (local.get $p0)
          (local.get $l3))
        (i64.store offset=8
          (local.get $p0)
          (local.get $l4))
        (i64.store offset=144
          (local.get $p0)
          (local.get $l7))
        (i64.store offset=152
          (local.get $p0)
          (local.get $l8))
        (i32.store offset=160
          (local.get $p0)
          (i32.const 19))
        (i32.store offset=1724
          (local.get $p0)
          (local.get $l2))
        (return_call $env.followtrue
          (local.get $p0)
          (global.get $place.firstExit)
          (local.get $l15)))
      (unreachable))
    (i64.store
      (local.get $p0)
      (local.get $l3))
    (i64.store offset=8
      (local.get $p0)
      (local.get $l4))
    (i64.store offset=144
      (local.get $p0)
      (local.get $l7))
    (i64.store offset=152
      (local.get $p0)
      (local.get $l8))
    (i32.store offset=160
      (local.get $p0)
      (local.get $l9))
    (i64.store offset=136
      (local.get $p0)
      (local.get $l5))
    (i32.store offset=1724
      (local.get $p0)
      (local.get $l2))
    (return
      (i32.const 7))
    (unreachable))
