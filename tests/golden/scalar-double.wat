  (func $region_1:0 (type $t8) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i32) (local $l4 i32) (local $l5 i32) (local $l6 i64) (local $l7 i64) (local $l8 i32) (local $l9 i64) (local $l10 i64) (local $l11 i32) (local $l12 i64) (local $l13 i64) (local $l14 i32) (local $l15 i64) (local $l16 i64) (local $l17 i32) (local $l18 i32) (local $l19 i32) (local $l20 f64) (local $l21 f64) (local $l22 f64) (local $l23 f64) (local $l24 f64) (local $l25 i64) (local $l26 i32)
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
      (i64.load offset=48
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
    (block $B4
      (local.set $l2
        (i32.sub
          (local.get $l2)
          (i32.const 4)))
      (local.set $l13
        (local.get $l6))
      (local.set $l14
        (i32.add
          (local.get $l8)
          (i32.and
            (i32.shr_u
              (i32.wrap_i64
                (local.get $l13))
              (i32.const 8))
            (i32.const 131056))))
      (local.set $l16
        (local.tee $l15
          (i64.and
            (i64.add
              (local.get $l13)
              (i64.const 7))
            (i64.const -4096))))
      (local.set $l20
        (f64.load
          (local.tee $l19
            (if $I5 (result i32)
              (i64.eq
                (i64.load
                  (local.get $l14))
                (local.get $l15))
              (then
                (local.set $l17
                  (i32.load offset=8
                    (local.get $l14)))
                (i32.add
                  (i32.wrap_i64
                    (local.get $l13))
                  (local.get $l17)))
              (else
                (br_if $B4
                  (i32.eqz
                    (local.tee $l18
                      (call $env.regionRead
                        (local.get $p0)
                        (local.get $l13)
                        (global.get $place.firstSite)
                        (i32.const 7)))))
                (local.set $l16
                  (i64.const 1))
                (local.get $l18))))))
      (local.set $l21
        (f64.load offset=1104
          (local.get $p0)))
      (if $I6
        (i32.eqz
          (i32.lt_u
            (i32.sub
              (i32.wrap_i64
                (i64.shr_u
                  (i64.reinterpret_f64
                    (local.get $l20))
                  (i64.const 31)))
              (i32.const ADDRESS))
            (i32.const ADDRESS)))
        (then
          (if $I7
            (i32.eqz
              (i64.eq
                (local.tee $l15
                  (i64.shl
                    (i64.reinterpret_f64
                      (local.get $l20))
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
                  (local.get $l20)))
              (br $B4)))))
      (if $I8
        (i32.eqz
          (i32.lt_u
            (i32.sub
              (i32.wrap_i64
                (i64.shr_u
                  (i64.reinterpret_f64
                    (local.get $l21))
                  (i64.const 31)))
              (i32.const ADDRESS))
            (i32.const ADDRESS)))
        (then
          (if $I9
            (i32.eqz
              (i64.eq
                (local.tee $l13
                  (i64.shl
                    (i64.reinterpret_f64
                      (local.get $l21))
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
                  (local.get $l20)))
              (br $B4)))))
      (if $I10
        (i32.eqz
          (i32.eq
            (i32.and
              (local.tee $l19
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
              (local.get $l20)))
          (br $B4)))
      (local.set $l22
        (f64.mul
          (local.get $l20)
          (local.get $l21)))
      (if $I11
        (i32.eqz
          (i32.lt_u
            (i32.sub
              (i32.wrap_i64
                (i64.shr_u
                  (i64.reinterpret_f64
                    (local.tee $l23
                      (f64.load offset=1120
                        (local.get $p0))))
                  (i64.const 31)))
              (i32.const ADDRESS))
            (i32.const ADDRESS)))
        (then
          (if $I12
            (i32.eqz
              (i64.eq
                (local.tee $l13
                  (i64.shl
                    (i64.reinterpret_f64
                      (local.get $l23))
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
                  (local.get $l22)))
              (br $B4)))))
      (local.set $l24
        (f64.add
          (local.get $l22)
          (local.get $l23)))
      (local.set $l13
        (local.get $l6))
      (local.set $l18
        (i32.add
          (local.get $l8)
          (i32.and
            (i32.shr_u
              (i32.wrap_i64
                (local.get $l13))
              (i32.const 8))
            (i32.const 131056))))
      (local.set $l25
        (local.tee $l15
          (i64.and
            (i64.add
              (local.get $l13)
              (i64.const 7))
            (i64.const -4096))))
      (local.set $l14
        (i32.const 0))
      (if $I13
        (i64.eq
          (i64.load offset=131072
            (local.get $l18))
          (local.get $l15))
        (then
          (local.set $l14
            (i32.load offset=131080
              (local.get $l18)))
          (f64.store
            (i32.add
              (i32.wrap_i64
                (local.get $l13))
              (local.get $l14))
            (local.get $l24)))
        (else
          (f64.store offset=1744
            (local.get $p0)
            (local.get $l24))
          (if $I14
            (i32.eqz
              (local.tee $l26
                (call $env.regionWrite
                  (local.get $p0)
                  (local.get $l13)
                  (i32.add
                    (global.get $place.firstSite)
                    (i32.const 5))
                  (i32.const 7))))
            (then
              (v128.store offset=1088
                (local.get $p0)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l24)))
              (br $B4)))
          (local.set $l25
            (i64.const 1))))
      (local.set $l15
        (i64.add
          (local.get $l7)
          (i64.const 16)))
      (v128.store offset=1088
        (local.get $p0)
        (f64x2.replace_lane 0
          (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
          (local.get $l24)))
      (i64.store offset=144
        (local.get $p0)
        (local.get $l9))
      (i64.store offset=152
        (local.get $p0)
        (local.get $l10))
      (i32.store offset=160
        (local.get $p0)
        (local.get $l11))
      (i32.store offset=1724
        (local.get $p0)
        (local.get $l2))
      (return_call $env.followtrue
        (local.get $p0)
        (global.get $place.firstExit)
        (local.get $l15))
      (unreachable))
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
