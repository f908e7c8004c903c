  (func $region_1:0 (type $t8) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i32) (local $l4 i32) (local $l5 i32) (local $l6 i64) (local $l7 i64) (local $l8 i64) (local $l9 i64) (local $l10 i32) (local $l11 i64) (local $l12 i64) (local $l13 i32) (local $l14 i64) (local $l15 i64) (local $l16 i64) (local $l17 i64) (local $l18 i32) (local $l19 i32) (local $l20 i64)
    (local.set $l2
      (i32.add
        (i32.load offset=1724
          (local.get $p0))
        (i32.const 5)))
    (if $I0
      (local.tee $l4
        (i32.load
          (local.tee $l3
            (global.get $place.firstHeat))))
      (then
        (if $I1
          (i32.eq
            (local.get $l4)
            (i32.const -1))
          (then
            (return_call_indirect (type $t8)
              (local.get $p0)
              (i32.const ADDRESS)
              (i32.load
                (i32.const ADDRESS)))))
        (local.set $l5
          (i32.sub
            (local.get $l4)
            (i32.const 1)))
        (i32.store
          (local.get $l3)
          (local.get $l5))
        (if $I2
          (i32.eqz
            (local.get $l5))
          (then
            (i32.store offset=1724
              (local.get $p0)
              (local.get $l2))
            (return
              (i32.const 5))))))
    (if $I3
      (i32.lt_s
        (local.get $l2)
        (i32.const 4))
      (then
        (return_call_indirect (type $t8)
          (local.get $p0)
          (i32.const ADDRESS)
          (i32.load offset=4
            (i32.const ADDRESS)))))
    (local.set $l6
      (i64.load
        (local.get $p0)))
    (local.set $l7
      (i64.load offset=16
        (local.get $p0)))
    (local.set $l8
      (i64.load offset=24
        (local.get $p0)))
    (local.set $l9
      (i64.load offset=136
        (local.get $p0)))
    (local.set $l10
      (i32.load offset=1704
        (local.get $p0)))
    (local.set $l11
      (i64.load offset=144
        (local.get $p0)))
    (local.set $l12
      (i64.load offset=152
        (local.get $p0)))
    (local.set $l13
      (i32.load offset=160
        (local.get $p0)))
    (local.set $l14
      (i64.const 0))
    (block $B4
      (block $B5
        (local.set $l2
          (i32.sub
            (local.get $l2)
            (i32.const 2)))
        (local.set $l15
          (local.get $l6))
        (local.set $l16
          (local.get $l8))
        (local.set $l11
          (local.tee $l17
            (i64.sub
              (local.get $l15)
              (local.get $l16))))
        (local.set $l12
          (local.get $l15))
        (local.set $l14
          (local.get $l16))
        (if $I6
          (local.tee $l18
            (i64.lt_u
              (local.get $l12)
              (local.get $l14)))
          (then
            (local.set $l13
              (i32.const 11))
            (br $B5)))
        (local.set $l2
          (i32.sub
            (local.get $l2)
            (i32.const 1)))
        (local.set $l16
          (i64.add
            (local.tee $l17
              (local.get $l7))
            (i64.const 1)))
        (local.set $l19
          (i64.lt_u
            (local.get $l12)
            (local.get $l14)))
        (local.set $l11
          (local.get $l16))
        (local.set $l12
          (i64.extend_i32_u
            (local.get $l19)))
        (local.set $l7
          (local.get $l16))
        (local.set $l13
          (i32.const 15))
        (br $B5))
      (local.set $l2
        (i32.sub
          (local.get $l2)
          (i32.const 1)))
      (local.set $l16
        (local.get $l6))
      (local.set $l17
        (local.get $l6))
      (local.set $l18
        (call $env.carryOf
          (local.get $l13)
          (local.get $l11)
          (local.get $l12)))
      (local.set $l15
        (i64.sub
          (i64.sub
            (local.get $l16)
            (local.get $l17))
          (i64.extend_i32_u
            (local.get $l18))))
      (local.set $l20
        (i64.and
          (i64.or
            (i64.and
              (i64.xor
                (local.get $l16)
                (i64.const -1))
              (local.get $l17))
            (i64.and
              (i64.xor
                (i64.xor
                  (local.get $l16)
                  (local.get $l17))
                (i64.const -1))
              (local.get $l15)))
          (i64.const -4611686018427387896)))
      (local.set $l11
        (local.get $l15))
      (local.set $l12
        (local.get $l20))
      (local.set $l6
        (local.get $l15))
      (local.set $l20
        (i64.add
          (local.get $l9)
          (i64.const 11)))
      (i64.store
        (local.get $p0)
        (local.get $l6))
      (i64.store offset=16
        (local.get $p0)
        (local.get $l7))
      (i64.store offset=144
        (local.get $p0)
        (local.get $l11))
      (i64.store offset=152
        (local.get $p0)
        (local.get $l12))
      (i32.store offset=160
        (local.get $p0)
        (i32.const 0))
      (i32.store offset=1724
        (local.get $p0)
        (local.get $l2))
      (return_call $env.followtrue
        (local.get $p0)
        (global.get $place.firstExit)
        (local.get $l20))
      (unreachable))
    (i64.store
      (local.get $p0)
      (local.get $l6))
    (i64.store offset=16
      (local.get $p0)
      (local.get $l7))
    (i64.store offset=144
      (local.get $p0)
      (local.get $l11))
    (i64.store offset=152
      (local.get $p0)
      (local.get $l12))
    (i32.store offset=160
      (local.get $p0)
      (local.get $l13))
    (i64.store offset=136
      (local.get $p0)
      (local.get $l9))
    (i32.store offset=1724
      (local.get $p0)
      (local.get $l2))
    (return
      (i32.const 7))
    (unreachable))
