  (func $region_1:0 (type $t8) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i64) (local $l4 i64) (local $l5 i64) (local $l6 i64) (local $l7 i64) (local $l8 i32) (local $l9 i64) (local $l10 i64) (local $l11 i32) (local $l12 i64) (local $l13 i64) (local $l14 i64) (local $l15 i32) (local $l16 i64) (local $l17 i64) (local $l18 i32) (local $l19 i32) (local $l20 i32) (local $l21 i32) (local $l22 i32) (local $l23 i32) (local $l24 i32) (local $l25 i32) (local $l26 i32) (local $l27 i32) (local $l28 i32)
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
      (i64.load offset=16
        (local.get $p0)))
    (local.set $l5
      (i64.load offset=24
        (local.get $p0)))
    (local.set $l6
      (i64.load offset=32
        (local.get $p0)))
    (local.set $l7
      (i64.load offset=136
        (local.get $p0)))
    (local.set $l8
      (i32.load offset=1704
        (local.get $p0)))
    (local.set $l9
      (i64.load offset=144
        (local.get $p0)))
    (local.set $l10
      (i64.load offset=152
        (local.get $p0)))
    (local.set $l11
      (i32.load offset=160
        (local.get $p0)))
    (local.set $l12
      (i64.const 0))
    (block $B1
      (local.set $l2
        (i32.sub
          (local.get $l2)
          (i32.const 4)))
      (local.set $l13
        (local.get $l3))
      (local.set $l14
        (i64.add
          (local.get $l6)
          (i64.const -8)))
      (local.set $l15
        (i32.add
          (local.get $l8)
          (i32.and
            (i32.shr_u
              (i32.wrap_i64
                (local.get $l14))
              (i32.const 8))
            (i32.const 131056))))
      (local.set $l17
        (local.tee $l16
          (i64.and
            (i64.add
              (local.get $l14)
              (i64.const 7))
            (i64.const -4096))))
      (if $I2
        (i64.eq
          (i64.load offset=131072
            (local.get $l15))
          (local.get $l16))
        (then
          (local.set $l18
            (i32.load offset=131080
              (local.get $l15)))
          (i64.store
            (i32.add
              (i32.wrap_i64
                (local.get $l14))
              (local.get $l18))
            (local.get $l13)))
        (else
          (i64.store offset=1744
            (local.get $p0)
            (local.get $l13))
          (br_if $B1
            (i32.eqz
              (local.tee $l19
                (call $env.regionWrite
                  (local.get $p0)
                  (local.get $l14)
                  (global.get $place.firstSite)
                  (i32.const 7)))))
          (local.set $l17
            (i64.const 1))))
      (local.set $l6
        (local.get $l14))
      (if $I3
        (i32.and
          (local.tee $l19
            (i32.load offset=1548
              (local.get $p0)))
          (i32.const 65536))
        (then
          (i32.store offset=1760
            (local.get $p0)
            (i32.const 3))
          (i32.store offset=1740
            (local.get $p0)
            (i32.add
              (global.get $place.firstSite)
              (i32.const 1)))
          (br $B1)))
      (local.set $l15
        (call $env.carryOf
          (local.get $l11)
          (local.get $l9)
          (local.get $l10)))
      (if $I4
        (local.get $l11)
        (then
          (i64.store offset=144
            (local.get $p0)
            (local.get $l9))
          (i64.store offset=152
            (local.get $p0)
            (local.get $l10))
          (i32.store offset=160
            (local.get $p0)
            (local.get $l11))
          (local.set $l20
            (call $helpers.settleFlags
              (i32.const 0)
              (i32.const 0)
              (i32.const 0)
              (i32.const 0)
              (i32.const 0)
              (i32.const 0)))
          (local.set $l9
            (i64.load offset=144
              (local.get $p0)))
          (local.set $l10
            (i64.load offset=152
              (local.get $p0)))))
      (local.set $l21
        (i32.xor
          (i32.and
            (i32.popcnt
              (i32.and
                (i32.wrap_i64
                  (i64.xor
                    (local.get $l9)
                    (i64.shr_u
                      (local.get $l10)
                      (i64.const 8))))
                (i32.const 255)))
            (i32.const 1))
          (i32.const 1)))
      (local.set $l22
        (i32.and
          (i32.wrap_i64
            (i64.shr_u
              (local.get $l10)
              (i64.const 3)))
          (i32.const 1)))
      (local.set $l23
        (i64.eqz
          (local.get $l9)))
      (local.set $l24
        (i32.and
          (i32.xor
            (i32.wrap_i64
              (i64.shr_u
                (local.get $l9)
                (i64.const 63)))
            (i32.wrap_i64
              (i64.shr_u
                (local.get $l10)
                (i64.const 16))))
          (i32.const 1)))
      (local.set $l25
        (i32.or
          (i32.or
            (i32.or
              (local.get $l15)
              (i32.shl
                (local.get $l21)
                (i32.const 2)))
            (i32.or
              (i32.shl
                (local.get $l22)
                (i32.const 4))
              (i32.shl
                (local.get $l23)
                (i32.const 6))))
          (i32.or
            (i32.shl
              (local.get $l24)
              (i32.const 7))
            (i32.const 2))))
      (local.set $l26
        (i32.wrap_i64
          (i64.shr_u
            (i64.xor
              (local.get $l10)
              (i64.shl
                (local.get $l10)
                (i64.const 1)))
            (i64.const 63))))
      (local.set $l16
        (i64.extend_i32_u
          (i32.or
            (i32.and
              (local.tee $l27
                (i32.load offset=168
                  (local.get $p0)))
              (i32.const -196609))
            (i32.or
              (local.get $l25)
              (i32.shl
                (local.get $l26)
                (i32.const 11))))))
      (if $I5
        (i64.eq
          (i64.and
            (local.tee $l14
              (i64.add
                (local.get $l6)
                (i64.const -8)))
            (i64.const -4089))
          (local.get $l17))
        (then
          (i64.store
            (i32.add
              (i32.wrap_i64
                (local.get $l14))
              (local.get $l18))
            (local.get $l16)))
        (else
          (i64.store offset=1744
            (local.get $p0)
            (local.get $l16))
          (br_if $B1
            (i32.eqz
              (local.tee $l28
                (call $env.regionWrite
                  (local.get $p0)
                  (local.get $l14)
                  (i32.add
                    (global.get $place.firstSite)
                    (i32.const 2))
                  (i32.const 7)))))))
      (local.set $l16
        (i64.load
          (local.tee $l27
            (if $I6 (result i32)
              (i64.eq
                (i64.and
                  (local.tee $l14
                    (local.tee $l6
                      (local.get $l14)))
                  (i64.const -4089))
                (local.get $l17))
              (then
                (i32.add
                  (i32.wrap_i64
                    (local.get $l14))
                  (local.get $l18)))
              (else
                (br_if $B1
                  (i32.eqz
                    (local.tee $l28
                      (call $env.regionRead
                        (local.get $p0)
                        (local.get $l14)
                        (i32.add
                          (global.get $place.firstSite)
                          (i32.const 3))
                        (i32.const 7)))))
                (local.get $l28))))))
      (local.set $l6
        (local.tee $l13
          (i64.add
            (local.get $l6)
            (i64.const 8))))
      (local.set $l4
        (local.get $l16))
      (local.set $l16
        (i64.load
          (local.tee $l28
            (if $I7 (result i32)
              (i64.eq
                (i64.and
                  (local.tee $l13
                    (local.get $l6))
                  (i64.const -4089))
                (local.get $l17))
              (then
                (i32.add
                  (i32.wrap_i64
                    (local.get $l13))
                  (local.get $l18)))
              (else
                (br_if $B1
                  (i32.eqz
                    (local.tee $l27
                      (call $env.regionRead
                        (local.get $p0)
                        (local.get $l13)
                        (i32.add
                          (global.get $place.firstSite)
                          (i32.const 4))
                        (i32.const 7)))))
                (local.get $l27))))))
      (local.set $l6
        (local.tee $l14
          (i64.add
            (local.get $l6)
            (i64.const 8))))
      (local.set $l5
        (local.get $l16))
      (local.set $l14
        (i64.add
          (local.get $l7)
          (i64.const 4)))
      (i64.store offset=16
        (local.get $p0)
        (local.get $l4))
      (i64.store offset=24
        (local.get $p0)
        (local.get $l5))
      (i64.store offset=32
        (local.get $p0)
        (local.get $l6))
      (i64.store offset=144
        (local.get $p0)
        (local.get $l9))
      (i64.store offset=152
        (local.get $p0)
        (local.get $l10))
      (i32.store offset=160
        (local.get $p0)
        (i32.const 0))
      (i32.store offset=1724
        (local.get $p0)
        (local.get $l2))
      (return_call $env.followtrue
        (local.get $p0)
        (global.get $place.firstExit)
        (local.get $l14))
      (unreachable))
    (i64.store offset=16
      (local.get $p0)
      (local.get $l4))
    (i64.store offset=24
      (local.get $p0)
      (local.get $l5))
    (i64.store offset=32
      (local.get $p0)
      (local.get $l6))
    (i64.store offset=144
      (local.get $p0)
      (local.get $l9))
    (i64.store offset=152
      (local.get $p0)
      (local.get $l10))
    (i32.store offset=160
      (local.get $p0)
      (local.get $l11))
    (i64.store offset=136
      (local.get $p0)
      (local.get $l7))
    (i32.store offset=1724
      (local.get $p0)
      (local.get $l2))
    (return
      (i32.const 7))
    (unreachable))
