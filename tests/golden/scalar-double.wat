  (func $region_1:0 (type $t8) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i64) (local $l4 i64) (local $l5 i32) (local $l6 i64) (local $l7 i64) (local $l8 i32) (local $l9 i64) (local $l10 i64) (local $l11 i32) (local $l12 i64) (local $l13 i64) (local $l14 i32) (local $l15 i32) (local $l16 i32) (local $l17 f64) (local $l18 f64) (local $l19 f64) (local $l20 f64) (local $l21 f64) (local $l22 i64) (local $l23 i32)
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
      (i64.load offset=48
        (local.get $p0)))
    (local.set $l4
      (i64.load offset=136
        (local.get $p0)))
    (local.set $l5
      (i32.load offset=1704
        (local.get $p0)))
    (local.set $l6
      (i64.load offset=144
        (local.get $p0)))
    (local.set $l7
      (i64.load offset=152
        (local.get $p0)))
    (local.set $l8
      (i32.load offset=160
        (local.get $p0)))
    (local.set $l9
      (i64.const 0))
    (block $B1
      (local.set $l2
        (i32.sub
          (local.get $l2)
          (i32.const 4)))
      (local.set $l10
        (local.get $l3))
      (local.set $l11
        (i32.add
          (local.get $l5)
          (i32.and
            (i32.shr_u
              (i32.wrap_i64
                (local.get $l10))
              (i32.const 8))
            (i32.const 131056))))
      (local.set $l13
        (local.tee $l12
          (i64.and
            (i64.add
              (local.get $l10)
              (i64.const 7))
            (i64.const -4096))))
      (local.set $l17
        (f64.load
          (local.tee $l16
            (if $I2 (result i32)
              (i64.eq
                (i64.load
                  (local.get $l11))
                (local.get $l12))
              (then
                (local.set $l14
                  (i32.load offset=8
                    (local.get $l11)))
                (i32.add
                  (i32.wrap_i64
                    (local.get $l10))
                  (local.get $l14)))
              (else
                (br_if $B1
                  (i32.eqz
                    (local.tee $l15
                      (call $env.regionRead
                        (local.get $p0)
                        (local.get $l10)
                        (global.get $place.firstSite)
                        (i32.const 7)))))
                (local.set $l13
                  (i64.const 1))
                (local.get $l15))))))
      (local.set $l18
        (f64.load offset=1104
          (local.get $p0)))
      (if $I3
        (i32.eqz
          (i32.lt_u
            (i32.sub
              (i32.wrap_i64
                (i64.shr_u
                  (i64.reinterpret_f64
                    (local.get $l17))
                  (i64.const 31)))
              (i32.const ADDRESS))
            (i32.const ADDRESS)))
        (then
          (if $I4
            (i32.eqz
              (i64.eq
                (local.tee $l12
                  (i64.shl
                    (i64.reinterpret_f64
                      (local.get $l17))
                    (i64.const 1)))
                (i64.const 0)))
            (then
              (call $env.regionAbandon
                (i32.add
                  (global.get $place.firstSite)
                  (i32.const 1))
                (global.get $place.firstRegion))
              (v128.store offset=1088
                (local.get $p0)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l17)))
              (br $B1)))))
      (if $I5
        (i32.eqz
          (i32.lt_u
            (i32.sub
              (i32.wrap_i64
                (i64.shr_u
                  (i64.reinterpret_f64
                    (local.get $l18))
                  (i64.const 31)))
              (i32.const ADDRESS))
            (i32.const ADDRESS)))
        (then
          (if $I6
            (i32.eqz
              (i64.eq
                (local.tee $l10
                  (i64.shl
                    (i64.reinterpret_f64
                      (local.get $l18))
                    (i64.const 1)))
                (i64.const 0)))
            (then
              (call $env.regionAbandon
                (i32.add
                  (global.get $place.firstSite)
                  (i32.const 2))
                (global.get $place.firstRegion))
              (v128.store offset=1088
                (local.get $p0)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l17)))
              (br $B1)))))
      (if $I7
        (i32.eqz
          (i32.eq
            (i32.and
              (local.tee $l16
                (i32.load offset=1500
                  (local.get $p0)))
              (i32.const 28704))
            (i32.const 4128)))
        (then
          (call $env.regionAbandon
            (i32.add
              (global.get $place.firstSite)
              (i32.const 3))
            (global.get $place.firstRegion))
          (v128.store offset=1088
            (local.get $p0)
            (f64x2.replace_lane 0
              (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
              (local.get $l17)))
          (br $B1)))
      (local.set $l19
        (f64.mul
          (local.get $l17)
          (local.get $l18)))
      (if $I8
        (i32.eqz
          (i32.lt_u
            (i32.sub
              (i32.wrap_i64
                (i64.shr_u
                  (i64.reinterpret_f64
                    (local.tee $l20
                      (f64.load offset=1120
                        (local.get $p0))))
                  (i64.const 31)))
              (i32.const ADDRESS))
            (i32.const ADDRESS)))
        (then
          (if $I9
            (i32.eqz
              (i64.eq
                (local.tee $l10
                  (i64.shl
                    (i64.reinterpret_f64
                      (local.get $l20))
                    (i64.const 1)))
                (i64.const 0)))
            (then
              (call $env.regionAbandon
                (i32.add
                  (global.get $place.firstSite)
                  (i32.const 4))
                (global.get $place.firstRegion))
              (v128.store offset=1088
                (local.get $p0)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l19)))
              (br $B1)))))
      (local.set $l21
        (f64.add
          (local.get $l19)
          (local.get $l20)))
      (local.set $l10
        (local.get $l3))
      (local.set $l15
        (i32.add
          (local.get $l5)
          (i32.and
            (i32.shr_u
              (i32.wrap_i64
                (local.get $l10))
              (i32.const 8))
            (i32.const 131056))))
      (local.set $l22
        (local.tee $l12
          (i64.and
            (i64.add
              (local.get $l10)
              (i64.const 7))
            (i64.const -4096))))
      (local.set $l11
        (i32.const 0))
      (if $I10
        (i64.eq
          (i64.load offset=131072
            (local.get $l15))
          (local.get $l12))
        (then
          (local.set $l11
            (i32.load offset=131080
              (local.get $l15)))
          (f64.store
            (i32.add
              (i32.wrap_i64
                (local.get $l10))
              (local.get $l11))
            (local.get $l21)))
        (else
          (f64.store offset=1744
            (local.get $p0)
            (local.get $l21))
          (if $I11
            (i32.eqz
              (local.tee $l23
                (call $env.regionWrite
                  (local.get $p0)
                  (local.get $l10)
                  (i32.add
                    (global.get $place.firstSite)
                    (i32.const 5))
                  (i32.const 7))))
            (then
              (v128.store offset=1088
                (local.get $p0)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l21)))
              (br $B1)))
          (local.set $l22
            (i64.const 1))))
      (local.set $l12
        (i64.add
          (local.get $l4)
          (i64.const 16)))
      (v128.store offset=1088
        (local.get $p0)
        (f64x2.replace_lane 0
          (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
          (local.get $l21)))
      (i64.store offset=144
        (local.get $p0)
        (local.get $l6))
      (i64.store offset=152
        (local.get $p0)
        (local.get $l7))
      (i32.store offset=160
        (local.get $p0)
        (local.get $l8))
      (i32.store offset=1724
        (local.get $p0)
        (local.get $l2))
      (return_call $env.followtrue
        (local.get $p0)
        (global.get $place.firstExit)
        (local.get $l12))
      (unreachable))
    (i64.store offset=144
      (local.get $p0)
      (local.get $l6))
    (i64.store offset=152
      (local.get $p0)
      (local.get $l7))
    (i32.store offset=160
      (local.get $p0)
      (local.get $l8))
    (i64.store offset=136
      (local.get $p0)
      (local.get $l4))
    (i32.store offset=1724
      (local.get $p0)
      (local.get $l2))
    (return
      (i32.const 7))
    (unreachable))
